/**
 * What a server answered to a call, as the text that a model reads. What is no text is described, not left out: a model
 * that is told of an image knows at least that there is one.
 */
import type { ToolResult } from '../tools/tool.ts';
import { cutText } from './cut-text.ts';
import { isRecord } from './tool-list.ts';

const URI_CHARS_MAX = 500;

export function toToolResult(answer: unknown, charsMax: number): ToolResult {
  const result = isRecord(answer) ? answer : {};
  const content = Array.isArray(result.content) ? (result.content as readonly unknown[]) : [];
  const parts = content.map(toText).filter((part) => part !== '');
  // Servers repeat what is structured as text; where they do not, it is the answer.
  if (result.structuredContent !== undefined && !content.some(isText)) {
    parts.push(JSON.stringify(result.structuredContent));
  }
  const text = cut(parts.join('\n'), charsMax);
  return result.isError === true
    ? { text: text || 'The tool failed and did not say why', isError: true }
    : { text };
}

function toText(item: unknown): string {
  if (!isRecord(item)) return '';
  switch (item.type) {
    case 'text':
      return typeof item.text === 'string' ? item.text : '';
    case 'image':
    case 'audio':
      return `[${item.type} ${named(item.mimeType)}, ${sizeOf(item.data)}, not shown]`;
    case 'resource':
      return toResource(item.resource);
    case 'resource_link':
      return `[resource ${named(item.uri)}${item.name ? ` "${named(item.name)}"` : ''}]`;
    default:
      return `[content of the unknown kind ${named(item.type)}, not shown]`;
  }
}

function toResource(resource: unknown): string {
  if (!isRecord(resource)) return '';
  const head = `[resource ${named(resource.uri)}`;
  if (typeof resource.text === 'string') return `${head}]\n${resource.text}`;
  return `${head}, ${named(resource.mimeType)}, ${sizeOf(resource.blob)}, not shown]`;
}

function isText(item: unknown): boolean {
  return isRecord(item) && item.type === 'text' && item.text !== '';
}

function named(value: unknown): string {
  return typeof value === 'string' ? cutText(value, URI_CHARS_MAX) : 'of no name';
}

function sizeOf(base64: unknown): string {
  return `${typeof base64 === 'string' ? Math.floor((base64.length * 3) / 4) : 0} bytes`;
}

function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  return `${cutText(text, charsMax)}\n[cut: ${text.length - charsMax} characters more]`;
}
