/** What the nightly run asks of the agent: the reference's four duties, in words of our own. */
export const DREAM_PROMPT = `This is your nightly upkeep. Nobody is waiting for an answer, so take care rather than hurry, and
use only the tools you have; leave out what they do not allow. Never delete anything that you are not sure about: say so in
the note instead.

1. Temporary files. Find temporary files of yours that are older than a day (downloads, scratch files, old screenshots) and
   remove them. Leave the configuration, the database, the logs, uploads and the vault alone.
2. The vault. Read through the notes. Merge notes that say the same, correct facts that newer notes have overtaken, drop what
   is trivial, link notes that belong together with [[wikilinks]], and bring tags to one spelling. Keep every fact that may
   still be wanted, and keep the names of notes that others link to.
3. Health. Look at free disk space, memory and the load of the processor, and at anything that looks wrong.
4. The note. Write what you did and found to dream-logs/dream-log-YYYY-MM-DD.md in the vault, with today's date in its name,
   and with this frontmatter: title, type: dream-log, date, tags: [dream-log]. If the note is there already, add to it.

End with a summary of a few lines.`;
