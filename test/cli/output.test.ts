import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { output } from "../../cli/view/output.ts";

function printed(json: boolean, act: (out: ReturnType<typeof output>) => void): string {
  const stream = new PassThrough();
  act(output(json, { out: stream, err: stream }));
  return String(stream.read());
}

test("nothing that a command prints steers the terminal", () => {
  const bad = "\u001b[2J\u009b\u202e";

  const texts = [
    printed(false, (out) => out.answer({}, () => bad)),
    printed(false, (out) => out.note(bad)),
    printed(true, (out) => out.answer({ bad }, () => "")),
  ];

  for (const text of texts) expect(text).not.toMatch(/[\u001b\u009b\u202e]/);
  expect(JSON.parse(texts[2]!)).toEqual({ bad });
});
