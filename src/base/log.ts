/**
 * The log: one JSON object a line, to stderr, so that stdout belongs to answers alone.
 *
 * A message is constant and says what happened; what differs from one time to the next is in the fields. The level is
 * FLASHCOPY_LOG_LEVEL (error, warn, info, debug), info when it is not set. What is done for a request bears its id.
 */
import process from 'node:process';
import winston from 'winston';
import { currentRequest } from './request.ts';

// Whoever reads the log may go away. That must not end an engine on which host I/O depends.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const LEVELS = ['error', 'warn', 'info', 'debug'];
const asked = process.env['FLASHCOPY_LOG_LEVEL'] ?? 'info';

const withRequest = winston.format((line) => {
  const request = currentRequest();
  return request === undefined ? line : Object.assign(line, { request });
});

export const log = winston.createLogger({
  level: LEVELS.includes(asked) ? asked : 'info',
  format: winston.format.combine(withRequest(), winston.format.timestamp(), winston.format.json()),
  defaultMeta: { pid: process.pid },
  transports: [new winston.transports.Console({ stderrLevels: LEVELS })],
});
