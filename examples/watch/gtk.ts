// The few of node-gtk's classes and methods that this program calls; node-gtk comes without declarations.
import { createRequire } from 'node:module';

export interface Widget {
  addCssClass(name: string): void;
  removeCssClass(name: string): void;
  setSensitive(sensitive: boolean): void;
  setTooltipText(text: string): void;
  setValign(align: number): void;
}

export interface Label extends Widget {
  setText(text: string): void;
}

export interface Button extends Widget {
  setLabel(label: string): void;
  on(signal: 'clicked', callback: () => void): void;
}

export interface Box extends Widget {
  append(child: Widget): void;
}

export interface HeaderBar extends Widget {
  setTitleWidget(widget: Widget): void;
  packStart(child: Widget): void;
  packEnd(child: Widget): void;
}

export interface FrameClock {
  getFrameCounter(): bigint;
}

export interface Window extends Widget {
  setTitlebar(widget: Widget): void;
  setChild(widget: Widget): void;
  present(): void;
  destroy(): void;
  setVisible(visible: boolean): void;
  getFrameClock(): FrameClock | null;
  getNative(): { getRenderer(): { renderTexture(node: RenderNode, viewport: null): Texture } } | null;
  /** The callback returns true to keep the window open. */
  on(signal: 'close-request', callback: () => boolean): void;
}

export interface DrawingArea extends Widget {
  setDrawFunc(draw: (area: DrawingArea, cairo: Cairo, width: number, height: number) => void): void;
  queueDraw(): void;
  createPangoLayout(text: string): PangoLayout;
  getStyleContext(): { getColor(): Color };
}

export interface Color {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

export interface PangoLayout {
  setText(text: string, length: number): void;
  setFontDescription(description: FontDescription): void;
  getPixelSize(): [width: number, height: number];
}

declare const fontDescription: unique symbol;
export interface FontDescription {
  readonly [fontDescription]: never;
}

export interface Cairo {
  save(): void;
  restore(): void;
  rectangle(x: number, y: number, width: number, height: number): void;
  arc(x: number, y: number, radius: number, from: number, to: number): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  newSubPath(): void;
  closePath(): void;
  clip(): void;
  fill(): void;
  stroke(): void;
  strokePreserve(): void;
  setSourceRgba(red: number, green: number, blue: number, alpha: number): void;
  setLineWidth(width: number): void;
  setLineJoin(join: number): void;
}

declare const textIter: unique symbol;
export interface TextIter {
  readonly [textIter]: never;
}

declare const textTag: unique symbol;
export interface TextTag {
  readonly [textTag]: never;
}

declare const textMark: unique symbol;
export interface TextMark {
  readonly [textMark]: never;
}

export interface TextBuffer {
  setText(text: string, length: number): void;
  insert(at: TextIter, text: string, length: number): void;
  delete(start: TextIter, end: TextIter): void;
  getStartIter(): TextIter;
  getEndIter(): TextIter;
  getIterAtLine(line: number): [found: boolean, iter: TextIter];
  applyTag(tag: TextTag, start: TextIter, end: TextIter): void;
  createMark(name: string | null, at: TextIter, leftGravity: boolean): TextMark;
  moveMark(mark: TextMark, to: TextIter): void;
  getTagTable(): { add(tag: TextTag): boolean };
}

export interface TextView extends Widget {
  getBuffer(): TextBuffer;
  scrollToMark(mark: TextMark, withinMargin: number, useAlign: boolean, xalign: number, yalign: number): void;
}

declare const eventController: unique symbol;
interface EventController {
  readonly [eventController]: never;
}

/** Their callbacks return true to keep an event from all others. */
export interface EventControllerScroll extends EventController {
  on(signal: 'scroll', callback: () => boolean): void;
}

export interface EventControllerKey extends EventController {
  on(signal: 'key-pressed', callback: () => boolean): void;
}

export interface GestureClick extends EventController {
  on(signal: 'pressed', callback: () => void): void;
}

export interface ScrolledWindow extends Widget {
  addController(controller: EventController): void;
  setChild(child: Widget): void;
  getVadjustment(): { getValue(): number; getUpper(): number; getPageSize(): number };
}

export interface Paned extends Widget {
  setStartChild(child: Widget): void;
  setEndChild(child: Widget): void;
  setPosition(position: number): void;
}

declare const snapshot: unique symbol;
export interface Snapshot {
  readonly [snapshot]: never;
  toNode(): RenderNode | null;
}

declare const renderNode: unique symbol;
export interface RenderNode {
  readonly [renderNode]: never;
}

export interface Texture {
  saveToPng(file: string): boolean;
}

export interface WidgetPaintable {
  getIntrinsicWidth(): number;
  getIntrinsicHeight(): number;
  snapshot(snapshot: Snapshot, width: number, height: number): void;
}

type Properties = Readonly<Record<string, string | number | boolean>>;
type Constructor<T> = new (properties?: Properties) => T;

interface GtkNamespace {
  initCheck(): boolean;
  Box: Constructor<Box>;
  Button: Constructor<Button>;
  DrawingArea: Constructor<DrawingArea>;
  EventControllerKey: Constructor<EventControllerKey>;
  EventControllerScroll: Constructor<EventControllerScroll>;
  GestureClick: Constructor<GestureClick>;
  HeaderBar: Constructor<HeaderBar>;
  Label: Constructor<Label>;
  Paned: Constructor<Paned>;
  ScrolledWindow: Constructor<ScrolledWindow>;
  TextTag: Constructor<TextTag>;
  TextView: Constructor<TextView>;
  Window: Constructor<Window>;
  Settings: { getDefault(): { gtkEnableAnimations: boolean } | null };
  CssProvider: { new: () => CssProvider };
  Snapshot: { new: () => Snapshot };
  StyleContext: { addProviderForDisplay(display: Display, provider: CssProvider, priority: number): void };
  WidgetPaintable: { new: (widget: Widget) => WidgetPaintable };
  Orientation: { HORIZONTAL: number; VERTICAL: number };
}

interface CssProvider {
  loadFromData(css: string, length: number): void;
}

declare const display: unique symbol;
interface Display {
  readonly [display]: never;
}

interface GLibNamespace {
  MainLoop: { new: (context: null, isRunning: boolean) => MainLoop };
  /** The callback returns true to be called again. */
  unixSignalAdd(priority: number, signal: number, callback: () => boolean): number;
}

export interface MainLoop {
  run(): void;
  quit(): void;
}

interface GdkNamespace {
  Display: { getDefault(): Display | null };
}

interface PangoNamespace {
  FontDescription: { fromString(text: string): FontDescription };
}

interface PangoCairoNamespace {
  showLayout(cairo: Cairo, layout: PangoLayout): void;
}

interface NodeGtk {
  require(name: 'Gdk', version: '4.0'): GdkNamespace;
  require(name: 'GLib', version: '2.0'): GLibNamespace;
  require(name: 'Gtk', version: '4.0'): GtkNamespace;
  require(name: 'Pango', version: '1.0'): PangoNamespace;
  require(name: 'PangoCairo', version: '1.0'): PangoCairoNamespace;
}

const gi = createRequire(import.meta.url)('node-gtk') as NodeGtk;

export const GLib: GLibNamespace = gi.require('GLib', '2.0');
export const Gdk: GdkNamespace = gi.require('Gdk', '4.0');
export const Gtk: GtkNamespace = gi.require('Gtk', '4.0');
export const Pango: PangoNamespace = gi.require('Pango', '1.0');
export const PangoCairo: PangoCairoNamespace = gi.require('PangoCairo', '1.0');
