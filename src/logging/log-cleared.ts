/** First line of a file that was begun because somebody cleared the log: readers do not look behind it. */
export const LOG_CLEARED = 'log.cleared';
