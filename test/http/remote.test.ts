import { expect, test } from "vitest";
import { remote } from "../../sdk/remote/target.ts";
import { api } from "../../runtime/http/app.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded, Store } from "../../runtime/store/port.ts";
import { storeSuite } from "../store/suite.ts";

/** A store whose side for application code is a client of the API of it. */
function overHttp(store: Guarded): Store {
  const app = api({ target: store, tokens: "none" });
  const { find, desk, schedules, flow, feed, add } = remote({
    url: "http://localhost",
    fetch: (...given) => {
      const request = new Request(...given);
      request.headers.set("host", "localhost");
      return Promise.resolve(app.fetch(request));
    },
  });
  return {
    ...{ name: store.name, lacks: { ...store.lacks, tx: "it is reached over HTTP" } },
    ...{ nodes: store.nodes, ticks: store.ticks, open: store.open, close: store.close },
    runs: { ...store.runs, add: (batch, how = {}) => (how.lease ? store.runs.add(batch, how) : add(batch, how.tx)) },
    ...{ find, desk, schedules },
    flow: { ...store.flow, ...flow },
    feed: { ...store.feed, ...feed },
  };
}

storeSuite("memory over HTTP", (clock) => Promise.resolve(overHttp(memory({ now: clock.nowMs }))));

test("an address that is none is refused", () => {
  expect(() => remote({ url: "postgres://x" })).toThrow('write "https://host"');
});
