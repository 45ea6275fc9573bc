/** Text without the secrets of connection strings: the password of a URL, and `password=…` of its query. The one place
 *  that everything printed goes through: logs, errors, tables. Takes time in proportion to the text, whatever that holds. */
export function redact(text: string): string {
  const shown = text.includes("://") ? withoutPasswords(text) : text;
  return shown.includes("assword") ? shown.replace(/([?&;\s](?:pg)?password=)[^&;\s"']+/gi, "$1***") : shown;
}

/** Looks at each `://` and what follows it up to a space or quote, once. */
function withoutPasswords(text: string): string {
  const ends = /[\s"']|$/g;
  let shown = "";
  let from = 0;
  for (let at = text.indexOf("://"); at >= 0; at = text.indexOf("://", from)) {
    ends.lastIndex = at;
    const end = ends.exec(text)!.index; // there is one: the end of the text
    shown += text.slice(from, at) + withoutPassword(text.slice(at, end));
    from = end;
  }
  return shown + text.slice(from);
}

/** `rest` begins with `://`. A password may hold any character, so it ends at the last @. */
function withoutPassword(rest: string): string {
  const last = rest.lastIndexOf("@");
  const user = last < 0 ? null : /:\/\/[^:/?#@]*:/.exec(rest.slice(0, last));
  return user ? `${rest.slice(0, user.index)}${user[0]}***${rest.slice(last)}` : rest;
}
