import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `Usage: watch [OPTION...] [--] [COMMAND [ARGUMENT...]]
Runs a command (vmstat -n 1), plots the columns of numbers that it prints, and lists its output.

  --seconds N        end after N seconds
  --screenshot FILE  write the window to a PNG file at the end
  --figures          print the loop's own figures as JSON at the end
  --keep             keep the window open when the command has ended
  --help             print this`;

const options = {
  seconds: { type: 'string' },
  screenshot: { type: 'string' },
  figures: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

export interface WatchArguments {
  command: readonly [string, ...string[]];
  seconds: number | null;
  screenshot: string | null;
  figures: boolean;
  keep: boolean;
  help: boolean;
}

/** Something on the command line cannot be used; the message says what. */
export class UsageError extends Error {}

export function readArguments(args: string[]): WatchArguments {
  // Whatever follows the command's name is the command's: `watch --keep ls -l` needs no `--`.
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const start = tokens.find((token) => token.kind !== 'option');
  const end = start?.index ?? args.length;
  const [file = 'vmstat', ...rest] = args.slice(start?.kind === 'option-terminator' ? end + 1 : end);
  if (file === '') throw new UsageError('the command has no name');
  const isDefault = start === undefined || (end + 1 === args.length && start.kind === 'option-terminator');

  const values = readOptions(args.slice(0, end));
  return {
    ...values,
    command: isDefault ? ['vmstat', '-n', '1'] : [file, ...rest],
    seconds: values.seconds === undefined ? null : readSeconds(values.seconds),
    screenshot: values.screenshot === undefined ? null : readScreenshot(values.screenshot),
  };
}

function readOptions(args: string[]): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] {
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function readSeconds(text: string): number {
  const seconds = text.trim() === '' ? NaN : Number(text);
  if (!(seconds > 0 && seconds <= 1e6)) {
    throw new UsageError(`--seconds takes a number above 0 and up to 1000000, not "${text}"`);
  }
  return seconds;
}

function readScreenshot(file: string): string {
  const folder = path.dirname(file);
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new UsageError(`--screenshot: cannot write to ${folder}`);
  }
  if (file === '' || file.endsWith('/')) throw new UsageError(`--screenshot takes a file, not "${file}"`);
  return file;
}
