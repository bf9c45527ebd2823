import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { service } from '#services';
import { expect, test } from 'vitest';
import { Command, serve, waymark } from '../support/command.js';
import { root } from '../tidy/sources.js';
import {
  compose,
  type Container,
  containers,
  flagsOf,
  kustomization,
  type Labels,
  manifests,
  probesOf,
  type Selector,
  selects,
  workloads,
} from './manifests.js';

const pods = workloads.map(({ template }) => template);
const entrypoint = readFileSync(join(root, 'deploy/entrypoint.sh'), 'utf8');
const portNames = ({ ports }: Container): string[] => ports.map(({ name }) => name);

test('[D10] all manifests are applied together, but that of the example; names are unique', () => {
  const files = [...new Set(manifests.map(({ file }) => file))];
  expect(files.filter((file) => file !== 'replicas.yaml').sort()).toEqual(
    [...kustomization.resources].sort(),
  );
  const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  expect(new Set(names).size).toBe(names.length);
});

test('[D10] selectors select the pods that they are for, and ports are those of the pods', () => {
  for (const { spec, template } of workloads) {
    expect(selects(spec.selector as Selector, template.metadata.labels)).toBe(true);
  }
  for (const { kind, metadata, spec } of manifests) {
    const selector =
      kind === 'Service'
        ? { matchLabels: spec.selector as Labels }
        : ((spec.podSelector ?? spec.selector) as Selector);
    const selected = pods.filter((pod) => selects(selector, pod.metadata.labels));
    expect(selected.length, `${kind} ${metadata.name}`).toBe(1);
    const named = selected.flatMap((pod) => pod.spec.containers.flatMap(portNames));
    const asked =
      kind === 'Service'
        ? (spec.ports ?? []).map(({ targetPort }) => targetPort)
        : (spec.ingress ?? []).flatMap(({ ports }) => ports.map(({ port }) => port));
    expect(named, `${kind} ${metadata.name}`).toEqual(expect.arrayContaining(asked));
    for (const { from } of spec.ingress ?? []) {
      for (const { podSelector } of from) {
        expect(pods.some((pod) => selects(podSelector, pod.metadata.labels))).toBe(true);
      }
    }
  }
});

test('[D10] each set is disrupted one at a time, spread, and hardened; what is mounted is there', () => {
  for (const { kind, metadata, spec, template } of workloads) {
    const { securityContext, containers: of, volumes = [], ...pod } = template.spec;
    expect(pod.topologySpreadConstraints, metadata.name).toBeDefined();
    // Kubernetes' variables of the service `waymark` would be named as Waymark's own.
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata: { name } }) => name);
    const there = [...volumes.map(({ name }) => name), ...claims];
    for (const { securityContext: own, resources, volumeMounts = [] } of of) {
      expect(own).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(Object.keys(resources.requests)).toEqual(['cpu', 'memory']);
      expect(Object.keys(resources.limits), 'what is throttled renews late').toEqual(['memory']);
      expect(there).toEqual(expect.arrayContaining(volumeMounts.map(({ name }) => name)));
    }
    if (kind === 'StatefulSet') {
      const named = manifests.find(
        (one) => one.kind === 'Service' && one.metadata.name === spec.serviceName,
      );
      expect(named?.spec).toMatchObject({ clusterIP: 'None' });
      expect(pod.affinity).toMatchObject({
        podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{}] },
      });
    }
  }
  const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget');
  expect(budgets.map(({ metadata }) => metadata.name).sort()).toEqual([
    'etcd',
    'waymark',
    'waymark-stash',
  ]);
  for (const { spec } of budgets) expect(spec).toMatchObject({ maxUnavailable: 1 });
});

test('[D10] a pod is given the time that it takes to stop', () => {
  const stash = containers.find(({ of }) => of === 'waymark-stash');
  const safe = stash?.container.env.find(({ name }) => name === 'WAYMARK_SAFE_SECONDS')?.value;
  expect(stash?.container.lifecycle?.preStop.exec.command).toEqual([
    '/opt/waymark/entrypoint.sh',
    'wait-until-safe',
  ]);
  const drainSeconds = 10;
  expect(stash?.pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(safe) + drainSeconds);
  const server = containers.find(({ of }) => of === 'waymark');
  const [, seconds] = server?.container.lifecycle?.preStop.exec.command ?? [];
  expect(server?.pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds) + drainSeconds);
});

const served = [
  ...containers
    .filter(({ container }) => container.image === 'waymark')
    .map(({ of, container }) => ({
      of,
      args: container.args,
      env: Object.fromEntries(container.env.map(({ name, value }) => [name, value ?? ''])),
    })),
  ...Object.entries(compose.services)
    .filter(([, { image }]) => image === 'waymark')
    .map(([of, { command, environment = {} }]) => ({ of, args: command, env: environment })),
];

test('[D10] every flag and variable that is given to waymark is one of its own', async () => {
  expect(served.length).toBe(7);
  for (const { of, args, env } of served) {
    const told = await new Command(process.execPath, [waymark, args[0] ?? '', '--help']).done;
    const help = told.out.replace(/\nCommands:[^]*/, '');
    const flags = new Set([...help.matchAll(/--[a-z0-9-]+/g)].map(([flag]) => flag));
    expect(args[0]).toBe(of.includes('stash') ? 'stash' : 'serve');
    for (const flag of flagsOf(args)) expect(flags, of).toContain(flag);
    const own = Object.keys(env).filter((name) => name.startsWith('WAYMARK_'));
    for (const name of own.map((one) => one.replace(/_FILE$/, ''))) {
      expect(help.includes(name) || entrypoint.includes(name), `${of}: ${name}`).toBe(true);
    }
    const used = args.flatMap((arg) => [...arg.matchAll(/\$\((\w+)\)/g)].map(([, name]) => name));
    expect(Object.keys(env)).toEqual(expect.arrayContaining(used));
  }
});

test('[D10] the ports that pods have are those that they listen on', () => {
  for (const { of, container } of containers.filter(({ of }) => of !== 'replicas')) {
    const listened = container.args
      .filter((arg) => /^--(metrics|listen(-\w+)*)=/.test(arg))
      .map((arg) => Number(/:(\d+)$/.exec(arg)?.[1]));
    expect(container.ports.map(({ containerPort }) => containerPort).sort(), of).toEqual(
      listened.sort(),
    );
  }
});

test('[D10] every path that is probed exists, on the port that it is probed on', async () => {
  const data = mkdtempSync(join(tmpdir(), 'waymark-probed-'));
  const { command, url } = await serve(['--engine', 'memory']);
  const args = [
    '--json',
    'stash',
    '--data',
    data,
    '--space',
    'memory:',
    '--metrics',
    '127.0.0.1:0',
  ];
  const node = new Command(process.execPath, [waymark, ...args]);
  const { metrics } = JSON.parse(await node.says('\n')) as { metrics: number };
  const at: Readonly<Record<string, string>> = {
    waymark: url,
    metrics: `http://127.0.0.1:${metrics}`,
  };
  for (const { of, container } of containers) {
    for (const { httpGet, tcpSocket } of probesOf(container)) {
      const port = httpGet?.port ?? tcpSocket?.port ?? '';
      expect(portNames(container), of).toContain(port);
      if (container.image !== 'waymark') continue;
      const { status } = await fetch(`${at[port]}${httpGet?.path}`);
      expect([of, httpGet?.path, status]).toEqual([of, httpGet?.path, 200]);
    }
    const { livenessProbe, readinessProbe } = container;
    if (container.image !== 'waymark') continue;
    expect([livenessProbe?.httpGet?.path, readinessProbe?.httpGet?.path]).toEqual([
      '/healthz',
      '/readyz',
    ]);
  }
  await Promise.all([command.stop(), node.stop()]);
  rmSync(data, { recursive: true });
});

test("[D10] every flag that is given to etcd is one of etcd's", async () => {
  const { path } = service('etcd-3.5');
  const { out, err } = await new Command(path, ['--help']).done;
  const flags = new Set([...(out + err).matchAll(/--[a-z0-9-]+/g)].map(([flag]) => flag));
  const given = [
    ...(containers.find(({ of }) => of === 'etcd')?.container.args ?? []),
    ...(compose.services['etcd']?.command ?? []),
  ];
  expect(given.length).toBeGreaterThan(10);
  for (const flag of flagsOf(given)) expect(flags).toContain(flag);
});

test('[D10] the example takes the options that it is given, and is known by the address of its pod', async () => {
  const args = containers.find(({ of }) => of === 'replicas')?.container.args ?? [];
  const values: Readonly<Record<string, string>> = {
    '--space': 'memory:',
    '--host': '127.0.0.2',
    '--port': '0',
  };
  const main = fileURLToPath(new URL('../../examples/dist/replicas.js', import.meta.url));
  const given = flagsOf(args).map((flag, i) => `${flag}=${values[flag] ?? args[i]?.split('=')[1]}`);
  const copy = new Command(process.execPath, [main, ...given], { input: null });
  await copy.says('ready: 127.0.0.2:');
  const { code } = await copy.stop();
  expect(code).toBe(0);
  expect(args).toContain('--host=$(POD_IP)');
});

test('[D10] services of the compose file depend on, mount and read what is there, publish to this machine alone, and are hardened', () => {
  for (const [name, service] of Object.entries(compose.services)) {
    expect(Object.keys(compose.services)).toEqual(
      expect.arrayContaining(Object.keys(service.depends_on ?? {})),
    );
    const mounted = (service.volumes ?? []).map((volume) => volume.split(':')[0]);
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(mounted));
    expect(Object.keys(compose.secrets)).toEqual(
      expect.arrayContaining([...(service.secrets ?? [])]),
    );
    for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
    if (service.image !== 'waymark') continue;
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      build: { context: '..', dockerfile: 'deploy/Dockerfile' },
    });
    const advertised = service.command.join(' ');
    expect(advertised, 'others reach it by its own name').toContain(name);
  }
});
