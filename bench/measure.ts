/** One thing to measure. Subjects of one shape are compared. */
export interface Subject {
  readonly shape: string;
  /** `ours`, or the name of a peer. */
  readonly subject: string;
  readonly operations: number;
  /** Does all operations, then calls `done`. */
  readonly run: (done: () => void) => void;
}

/**
 * How long one round takes, in nanoseconds. It begins in a macrotask, where Node calls a program's callbacks: in a
 * microtask, as after `await`, promises could not progress.
 */
function time(run: (done: () => void) => void): Promise<number> {
  return new Promise((resolve) => {
    setImmediate(() => {
      const start = process.hrtime.bigint();
      run(() => {
        resolve(Number(process.hrtime.bigint() - start));
      });
    });
  });
}

/**
 * Measures subjects, interleaved round by round, and prints one line of JSON a round and subject for run.ts, which
 * takes medians and ratios.
 */
export async function measure(
  subjects: readonly Subject[],
  { warmUpRounds = 30, rounds = 31 }: { warmUpRounds?: number; rounds?: number } = {},
): Promise<void> {
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const { shape, subject, operations, run } of subjects) {
      const ns = (await time(run)) / operations;
      if (round >= 0) console.log(JSON.stringify({ shape, subject, ns }));
    }
  }
}
