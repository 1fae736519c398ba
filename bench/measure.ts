/** One thing to measure. Subjects of one shape are compared. */
export interface Subject {
  readonly shape: string;
  /** `ours`, or the name of a peer. */
  readonly subject: string;
  /** Of how many the time is divided. */
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

/** Prints a figure of one round for run.ts, which takes medians and ratios: a line of JSON. */
export function printSample(shape: string, subject: string, value: number): void {
  console.log(JSON.stringify({ shape, subject, value }));
}

/** Measures subjects, interleaved round by round, and prints a sample a round and subject. */
export async function measure(
  subjects: readonly Subject[],
  { warmUpRounds = 30, rounds = 31 }: { warmUpRounds?: number; rounds?: number } = {},
): Promise<void> {
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const { shape, subject, operations, run } of subjects) {
      const ns = (await time(run)) / operations;
      if (round >= 0) printSample(shape, subject, ns);
    }
  }
}
