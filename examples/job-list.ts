// A list of jobs that several processes work off: each job is a small tree, taken as a whole by a tree lock.
//
//   node examples/dist/job-list.js http://127.0.0.1:7420 worker-1
//   node examples/dist/job-list.js memory: worker-1 10                (one alone, which adds the jobs itself)
import { open } from 'waymark';

interface Job {
  readonly parts: number;
}

const [, , url = 'http://127.0.0.1:7420', name = `worker-${process.pid}`, count = '0'] =
  process.argv;
const space = await open(url, { owner: name });
const jobs = space.namespace<Job | string>('jobs');
for (let i = 0; i < Number(count); i++) await jobs.put(`/todo/${i}`, { parts: 2 });

for (let found = true; found;) {
  found = false;
  for (const id of (await jobs.children('/todo')).entries) {
    // Another has it: take the next. Nobody waits.
    const lock = await jobs.tryLock(`/todo/${id}`, { tree: true, ttlMs: 5_000 });
    if (lock === null) continue;
    try {
      found = (await work(id)) || found;
    } finally {
      await lock.release();
    }
  }
}
await space.close();

/** Writes below the job are refused to everyone else while its tree is locked; its end is one transaction. */
async function work(id: string): Promise<boolean> {
  const job = await jobs.get(`/todo/${id}`);
  if (job === null) return false;
  const { parts } = job.value as Job;
  for (let part = 1; part <= parts; part++) await jobs.put(`/todo/${id}/parts/${part}`, name);
  const { succeeded } = await jobs.txn({
    when: [{ path: `/todo/${id}`, revision: job.revision }],
    apply: [
      { delete: `/todo/${id}`, tree: true },
      { put: `/done/${id}`, value: name },
    ],
  });
  if (succeeded) console.log(`${name} did ${id}`);
  return succeeded;
}
