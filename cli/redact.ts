/** Text without the secrets of connection strings: the password of a URL, and `password=…` of its query. The one place
 *  that everything printed goes through: logs, errors, tables. */
export function redact(text: string): string {
  if (!text.includes("://") && !text.includes("assword")) return text;
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#"'@]*):[^\s"']*@/gi, "$1:***@")
    .replace(/([?&;\s](?:pg)?password=)[^&;\s"']+/gi, "$1***");
}
