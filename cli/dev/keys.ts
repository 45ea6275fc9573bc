/** Single keys of a terminal; Ctrl-C counts as `q`. Does nothing where stdin is none. Answers what gives the terminal back. */
export function readKeys(pressed: (key: string) => void, input: NodeJS.ReadStream = process.stdin): () => void {
  if (!input.isTTY) return () => undefined;
  const hear = (keys: Buffer): void => {
    for (const key of keys.toString()) pressed(key === "\u0003" ? "q" : key);
  };
  const restore = (): void => void input.setRawMode(false);
  input.setRawMode(true);
  input.on("data", hear);
  process.on("exit", restore); // whatever ends the process, the terminal is usable again
  return () => {
    input.off("data", hear);
    process.off("exit", restore);
    restore();
    input.pause();
  };
}
