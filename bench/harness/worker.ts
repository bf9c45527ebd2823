import { workloads } from '../workloads/index.js';

/** The worker's end of WorkerProcess: runs one workload after the other, by name. */
interface Request {
  readonly id: number;
  readonly workload: string;
  readonly params: never;
}

process.on('message', (request: Request) => {
  const workload = workloads[request.workload];
  const run = async (): Promise<void> => {
    try {
      if (workload === undefined) throw new Error(`no workload '${request.workload}'`);
      process.send?.({ id: request.id, result: await workload(request.params) });
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.send?.({ id: request.id, error: text });
    }
  };
  void run();
});
process.on('disconnect', () => process.exit());
