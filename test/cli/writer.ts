import { Writable } from "node:stream";

/** Streams for `output` that keep what is printed to stdout. */
export function writer(): { readonly out: Writable; readonly err: Writable; text(): string } {
  let text = "";
  const out = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return { out, err: new Writable({ write: (_chunk, _encoding, done) => done() }), text: () => text };
}
