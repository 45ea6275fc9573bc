/** Single keys of a terminal; Ctrl-C counts as `q`. Does nothing where stdin is none. Answers what gives the terminal back. */
export function readKeys(pressed: (key: string) => void, input: NodeJS.ReadStream = process.stdin): () => void {
  if (!input.isTTY) return () => undefined;
  const hear = (keys: Buffer): void => {
    for (const key of keys.toString()) pressed(key === "\u0003" ? "q" : key);
  };
  let gone = false; // a terminal that was closed can't be given back
  const hung = (): void => void (gone = true);
  process.on("SIGHUP", hung);
  input.on("error", hung);
  const restore = (): void => {
    if (!gone) input.setRawMode(false);
  };
  input.setRawMode(true);
  input.on("data", hear);
  process.on("exit", restore); // whatever ends the process, the terminal is usable again
  return () => {
    input.off("data", hear);
    process.off("exit", restore);
    restore();
    if (gone) input.destroy();
    else input.pause();
  };
}
