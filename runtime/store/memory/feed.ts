import type { Feed, FeedPage } from "../../../sdk/port/feed.ts";
import { formatPlace, keepMs, mostRows, pageOf, parsePlace, placeIn } from "../place.ts";
import { tail } from "../tail.ts";
import { isAlive, type State } from "./state.ts";

const mostLines = 100_000;

/** The feed of the memory store. */
export function feed(state: State): Feed {
  const { step, feed: own } = state;
  const look = step((cursor: string): FeedPage => {
    const at = parsePlace(cursor);
    const from = placeIn(own.epoch, at);
    const rows = own.rows.filter(({ last }) => last > from.n);
    return pageOf(own.epoch, at, rows.slice(0, mostRows));
  });
  return {
    get watched() {
      return own.untilMs > state.now();
    },
    watch: step((forMs, sinceMs = Infinity) => {
      const nowMs = state.now();
      if (own.untilMs <= nowMs) Object.assign(own, { epoch: Math.max(own.epoch + 1, nowMs), n: 0, rows: [] });
      own.untilMs = Math.max(own.untilMs, nowMs + forMs);
      const dead = [...state.nodes.values()].filter(
        (node) => !node.draining && !isAlive(state, node) && node.leaseUntil >= sinceMs,
      );
      return { cursor: formatPlace(own), nowMs, dead: dead.map(({ name }) => name) };
    }),
    write: step((texts) => {
      const nowMs = state.now();
      if (own.untilMs <= nowMs || texts.length === 0) return;
      own.n += texts.length;
      own.rows.push({ last: own.n, atMs: nowMs, texts: [...texts] });
      const isOver = ({ atMs, last }: (typeof own.rows)[number]): boolean =>
        atMs < nowMs - keepMs || last < own.n - mostLines;
      const kept = own.rows.findIndex((row) => !isOver(row));
      own.rows.splice(0, kept);
      for (const wake of own.readers) wake();
    }),
    read(cursor, waitMs, signal) {
      const hear = (wake: () => void): (() => void) => {
        own.readers.add(wake);
        return () => void own.readers.delete(wake);
      };
      return tail({ look: () => look(cursor), hear, floorMs: () => Infinity }, waitMs, signal);
    },
  };
}
