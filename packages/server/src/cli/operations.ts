import type { Command } from 'commander';
import { createDataDirectory, describeFact, inspectFiles } from 'waymark/engine';
import { readBackup } from './backup-file.js';
import { interruption, print, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';
import { statusCommand } from './status.js';
import { takeBackup } from './take-backup.js';
import { topCommand } from './top.js';

/** A restored engine begins so far above the backup that no revision, and so no token, is given out twice. */
const revisionBump = 1_000_000_000;

export function operationCommands(program: Command, run: Run): void {
  statusCommand(program, run);
  topCommand(program, run);
  prune(program, run);
  backup(program, run);
  restore(program, run);
  inspect(program, run);
}

function prune(program: Command, run: Run): void {
  const command = program
    .command('prune <path>')
    .description('delete paths not written for an age, sparing locked and leased ones')
    .requiredOption('--older-than <duration>', 'the age, as 24h');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const olderThanMs = secondsMs(command.opts<{ olderThan: string }>().olderThan);
      const result = await withNamespace(options, (ns, _space, signal) =>
        ns.prune(path, { olderThanMs, signal }),
      );
      print(options, result, result.pruned.join('\n'));
    }),
  );
}

function backup(program: Command, run: Run): void {
  const command = program
    .command('backup <file>')
    .description('write everything, at one revision, to a file, in the place of an older one');
  command.action(
    run(async (options) => {
      const file = command.processedArgs[0] as string;
      const interrupted = interruption();
      try {
        const { revision, entries } = await takeBackup(options, file, interrupted);
        const text = `${file}: ${entries} entries at revision ${revision}`;
        print(options, { file, revision, entries }, text);
        return 0;
      } catch (error) {
        if (interrupted.aborted) return 130;
        throw error;
      }
    }),
  );
}

function restore(program: Command, run: Run): void {
  const command = program
    .command('restore <file>')
    .description(
      'make a new data directory from a backup; revisions go up, so that tokens never go back',
    )
    .requiredOption('--data <dir>', 'the directory to make: it must not exist, or be empty');
  command.action(
    run(async (options) => {
      const file = command.processedArgs[0] as string;
      const { data } = command.opts<{ data: string }>();
      const { revision: from, entries } = await readBackup(file);
      const revision = from + revisionBump;
      await createDataDirectory(data, { revision, entries });
      print(
        options,
        { data, revision, entries: entries.length },
        `${data}: ${entries.length} entries; serve it with --engine file:${data}`,
      );
    }),
  );
}

function inspect(program: Command, run: Run): void {
  const command = program
    .command('inspect <dir>')
    .description('read the files of a data directory, record by record, without changing them');
  command.action(
    run(async (options) => {
      const directory = command.processedArgs[0] as string;
      for await (const fact of inspectFiles(directory)) print(options, fact, describeFact(fact));
    }),
  );
}
