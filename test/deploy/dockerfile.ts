import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';

/** What a stage of a Dockerfile comes to: a folder in place of its root, and how it is started. */
export interface Stage {
  readonly folder: string;
  readonly base: string;
  directory: string;
  user: string;
  readonly env: Record<string, string>;
  readonly volumes: string[];
  entrypoint: readonly string[];
  command: readonly string[];
  healthcheck: readonly string[];
}

type Instruction = readonly [name: string, rest: string];

/**
 * Runs the steps of a Dockerfile as they stand, each stage in an empty folder: `RUN` in its working directory, by the tools of this machine instead of those of the base image. So a step
 * may name no path outside of that directory, and an instruction that is not known here is an error.
 */
export async function build(
  text: string,
  context: string,
  under: string,
): Promise<ReadonlyMap<string, Stage>> {
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const [name, rest] of instructionsOf(text)) {
    if (name === 'FROM') {
      const [, base = '', as = ''] = /^(\S+) AS (\S+)$/.exec(rest) ?? [];
      stage = begun(base, mkdtempSync(join(under, `${as}-`)));
      stages.set(as, stage);
    } else if (stage === undefined) throw new Error(`${name} before FROM`);
    else await step(stage, [name, rest], { context, stages });
  }
  return stages;
}

function begun(base: string, folder: string): Stage {
  // Other users get in.
  chmodSync(folder, 0o755);
  const [entrypoint, command, healthcheck, volumes] = [[], [], [], []];
  return {
    ...{ folder, base, directory: '/', user: '0:0', env: {}, volumes },
    ...{ entrypoint, command, healthcheck },
  };
}

export function instructionsOf(text: string): Instruction[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', ...rest] = line.split(' ');
      return [name, rest.join(' ')];
    });
}

async function step(
  stage: Stage,
  [name, rest]: Instruction,
  from: { readonly context: string; readonly stages: ReadonlyMap<string, Stage> },
): Promise<void> {
  switch (name) {
    case 'WORKDIR':
      stage.directory = rest;
      mkdirSync(join(stage.folder, rest), { recursive: true });
      break;
    case 'COPY':
      copy(stage, rest, from);
      break;
    case 'RUN':
      await run(stage, rest);
      break;
    case 'ENV':
      for (const [, key = '', value = ''] of rest.matchAll(/(\w+)=(\S*)/g)) stage.env[key] = value;
      break;
    case 'USER':
      stage.user = rest;
      break;
    case 'VOLUME':
      stage.volumes.push(rest);
      break;
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(rest) as string[];
      break;
    case 'CMD':
      stage.command = JSON.parse(rest) as string[];
      break;
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(rest.slice(rest.indexOf('CMD ') + 4)) as string[];
      break;
    case 'EXPOSE':
    case 'STOPSIGNAL':
      break;
    default:
      throw new Error(`${name} is not known here`);
  }
}

function copy(
  stage: Stage,
  rest: string,
  { context, stages }: { readonly context: string; readonly stages: ReadonlyMap<string, Stage> },
): void {
  const words = rest.split(' ');
  const paths = words.filter((word) => !word.startsWith('--'));
  const option = (name: string) =>
    words.find((word) => word.startsWith(`--${name}=`))?.split('=')[1];
  const source = option('from');
  const base = source === undefined ? context : stages.get(source)?.folder;
  if (base === undefined) throw new Error(`no stage ${source}`);
  const into = paths.pop() ?? '';
  const to = into.startsWith('/') ? into : join(stage.directory, into);
  for (const path of paths) {
    const file = join(base, path);
    const target = join(
      stage.folder,
      to,
      into.endsWith('/') && !statSync(file).isDirectory() ? basename(path) : '',
    );
    mkdirSync(dirname(target), { recursive: true });
    cpSync(file, target, { recursive: true });
    const [uid, gid] = (option('chown') ?? '').split(':').map(Number);
    if (uid !== undefined && gid !== undefined) chownSync(target, uid, gid);
  }
}

async function run({ folder, directory }: Stage, line: string): Promise<void> {
  const done = await new Command('sh', ['-euc', line], {
    cwd: join(folder, directory),
    // What npm has fetched before it need not fetch again.
    env: { npm_config_prefer_offline: 'true', NODE_ENV: undefined },
  }).done;
  if (done.code !== 0)
    throw new Error(`${line}: ${done.out.slice(-2_000)} ${done.err.slice(-2_000)}`);
}

/** What a build would be given: the files that are in the repository, or would be if they were committed. */
export function contextIn(folder: string): void {
  const listed = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], { cwd: root });
  for (const path of listed.toString().split('\0')) {
    if (path === '') continue;
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
}
