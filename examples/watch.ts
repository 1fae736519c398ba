// A window on a running command. Everything that happens (the command's output, timers, bottom halves) comes
// through one AioContext, which is a source of GTK's own main context. Try: npm start -- vmstat -n 1
import { constants } from 'node:os';
import { AioContext, Clock, MainContext, Priority, runMain } from 'aio-gsource';
import { readArguments, usage, UsageError, type WatchArguments } from './watch/arguments.js';
import { Command, CommandError } from './watch/command.js';
import { LoopFigures } from './watch/figures.js';
import { GLib, Gtk } from './watch/gtk.js';
import { Table } from './watch/table.js';
import { WatchWindow, type Action } from './watch/window.js';

/** How long the buttons wait, in milliseconds. */
const waitMs = 1000;
/** A window that nobody sees may never be drawn. */
const longestDrawing = 1000;

class Watch {
  readonly #options: WatchArguments;
  readonly #ctx: AioContext;
  readonly #command: Command;
  readonly #loop = GLib.MainLoop.new(null, false);
  readonly #mainContext = MainContext.default();
  readonly #table = new Table();
  readonly #window: WatchWindow;
  readonly #figures: LoopFigures;
  readonly #scheduleRedraw: () => void;
  /** Something came that the window does not show yet. */
  #isChanged = false;
  /** The window has been brought up to date, but GTK has not drawn it yet. */
  #isDrawing = false;
  #isEnding = false;
  #stops = 0;
  #lines = 0;

  constructor(ctx: AioContext, command: Command, options: WatchArguments) {
    this.#ctx = ctx;
    this.#command = command;
    this.#options = options;
    this.#figures = new LoopFigures(ctx);
    this.#scheduleRedraw = this.#figures.measuredBh('redraw', this.#redraw.bind(this)).schedule;
    this.#window = new WatchWindow({
      title: options.command.join(' '),
      table: this.#table,
      onAction: this.#act.bind(this),
      onClose: this.end.bind(this),
      onDrawn: this.#drawn.bind(this),
    });
    command.onLines = (stream, lines) => {
      const now = performance.now();
      if (stream === 'stdout') for (const line of lines) this.#table.add(line, now);
      this.#window.addLines(stream, lines);
      this.#lines += lines.length;
      this.#changed();
    };
    command.onExit = () => {
      if (!this.#isEnding) console.log(`${options.command[0]} ${command.state}`);
      this.#window.disableStop();
      this.#changed();
      if (!options.keep) this.end();
    };
  }

  /** Until the window is closed, the command has ended, or a signal or `--seconds` say so. Returns an exit code. */
  run(): number {
    const { seconds, screenshot, figures } = this.#options;
    if (seconds !== null) this.#ctx.timer(Clock.realtime, this.end.bind(this)).after(seconds * 1000);

    const started = performance.now();
    this.#window.present();
    this.#redraw();
    // Nobody but the command may have been faster.
    if (!this.#isEnding) this.#loop.run();

    const measured = this.#measure((performance.now() - started) / 1000);
    const isSaved = screenshot === null || this.#saveScreenshot(screenshot);
    if (figures) console.log(JSON.stringify(measured));
    this.#window.destroy();
    if (!isSaved) return 1;
    return this.#command.ended && this.#stops === 0 ? this.#command.exitCode : 0;
  }

  end(): void {
    this.#isEnding = true;
    this.#loop.quit();
  }

  #changed(): void {
    this.#isChanged = true;
    // However much comes, one bottom half a frame; where nothing comes, none.
    if (!this.#isDrawing) this.#scheduleRedraw();
  }

  #redraw(): void {
    this.#isChanged = false;
    this.#isDrawing = true;
    this.#window.showState(this.#command.state);
    this.#window.showFigures(this.#figures.read());
    this.#window.update();
  }

  #drawn(): void {
    this.#isDrawing = false;
    if (this.#isChanged) this.#scheduleRedraw();
  }

  #act(action: Action): void {
    if (action === 'stop') {
      this.#command.kill(this.#stops++ === 0 ? 'SIGTERM' : 'SIGKILL');
      this.#window.setStopLabel('Kill', 'Sends SIGKILL to the command');
      return;
    }
    this.#window.setWaiting(true);
    if (action === 'poll') {
      this.#showMessage('waiting in poll() for a second …');
      this.#wait('poll()', (condition) => {
        this.#ctx.waitWhile(condition);
      });
    } else {
      this.#showMessage('waiting in iteration() for a second …');
      this.#wait('iteration()', (condition) => {
        while (condition()) this.#mainContext.iteration(true);
      });
    }
    this.#window.setWaiting(false);
    this.#changed();
  }

  #wait(name: string, whileTrue: (condition: () => boolean) => void): void {
    const { callbacks } = this.#figures;
    const { frames } = this.#window;
    const started = performance.now();
    this.#within(waitMs, (isOver) => {
      whileTrue(() => !isOver() && !this.#isEnding);
    });
    const seconds = (performance.now() - started) / 1000;
    this.#window.showMessage(
      `${name} waited ${seconds.toFixed(2)} s: ${String(this.#figures.callbacks - callbacks)} callbacks ran, ` +
        `${String(this.#window.frames - frames)} frames were drawn`,
    );
  }

  /** Shows a message, and returns when it can be seen. */
  #showMessage(message: string): void {
    this.#window.showMessage(message);
    this.#draw();
  }

  #draw(): void {
    this.#redraw();
    this.#within(longestDrawing, (isOver) => {
      while (this.#isDrawing && !isOver()) this.#mainContext.iteration(true);
    });
  }

  #within(ms: number, run: (isOver: () => boolean) => void): void {
    let isOver = false;
    const timer = this.#ctx.timer(Clock.realtime, () => {
      isOver = true;
    });
    timer.after(ms);
    run(() => isOver);
    timer.close();
  }

  #saveScreenshot(file: string): boolean {
    this.#draw();
    if (this.#window.saveToPng(file)) return true;
    console.error(`watch: cannot write ${file}`);
    return false;
  }

  #measure(seconds: number): object {
    const { frames } = this.#window;
    return {
      ...this.#figures.read(),
      seconds,
      frames,
      framesPerSecond: frames / seconds,
      lines: this.#lines,
      bytes: this.#command.bytes,
    };
  }
}

/** Their callbacks come when the main loop runs, not before. */
function onSignals(callback: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not process.on(): that needs something else to keep Node's loop alive, and with --keep there may be nothing.
    GLib.unixSignalAdd(0, constants.signals[signal], () => {
      callback();
      return false; // a second one kills
    });
  }
}

async function watch(options: WatchArguments): Promise<number> {
  if (!Gtk.initCheck()) {
    console.error('watch: there is no display (DISPLAY and WAYLAND_DISPLAY are not set, or do not answer)');
    return 1;
  }
  using ctx = new AioContext({ name: 'watch' });
  // GTK draws at Priority.redraw: a command that always has something to say must come after it.
  ctx.attach(MainContext.default(), { priority: Priority.belowRedraw });
  // From here on nothing may end the program and leave the command behind.
  onSignals(() => {
    window.end();
  });
  const command = await Command.start(ctx, options.command);
  const window = new Watch(ctx, command, options);
  // Under GLib's loop promises go on only if it is not itself run by one, as all code of a module is.
  const exitCode = await new Promise<number>((resolve) => {
    runMain(() => {
      resolve(window.run());
    });
  });
  await command.close();
  return exitCode;
}

try {
  const options = readArguments(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = await watch(options);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`watch: ${error.message}\n\n${usage}`);
    process.exitCode = 2;
  } else if (error instanceof CommandError) {
    console.error(`watch: ${error.message}`);
    process.exitCode = error.exitCode;
  } else throw error;
}
