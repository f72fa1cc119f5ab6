/** Handlers of the vault's routes. What may be read and written is decided behind the service. */
import { type Handlers, reply, replyEncoded } from '../../contract/route.ts';
import type { VAULT_ROUTES } from '../../contract/routes/vault.ts';
import type { VAULT_SCHEMAS } from '../../contract/schemas/vault.ts';
import type { AgentServices } from '../services.ts';

export const vaultHandlers: Handlers<typeof VAULT_ROUTES, typeof VAULT_SCHEMAS, AgentServices> = {
  async listNotes({ query }, { vault }) {
    const { json, etag } = await vault.list(query);
    return replyEncoded(json, { etag });
  },

  async getNote({ params }, { vault }) {
    const note = await vault.read(params.path);
    return reply(note, { etag: note.etag });
  },

  async putNote({ params, body, headers }, { vault }) {
    const guard = { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
    const written = await vault.write(params.path, body.content, guard);
    return reply(written, { etag: written.etag });
  },

  async deleteNote({ params, headers }, { vault }) {
    const { trashId } = await vault.remove(params.path, { ifMatch: headers['if-match'] });
    return { ok: true, trash_id: trashId };
  },

  searchNotes({ query }, { vault }) {
    return vault.search(query.q, query.limit);
  },

  async getNoteGraph({ query }, { vault }) {
    const { json, etag } = await vault.graph(query);
    return replyEncoded(json, { etag });
  },

  listBacklinks({ query }, { vault }) {
    return vault.backlinks(query.path, query.limit);
  },

  renameNote({ body }, { vault }) {
    return vault.rename(body.from, body.to, body.update_links);
  },

  async listFolders({ query }, { vault }) {
    return { folders: [...(await vault.folders(query.limit))] };
  },

  async createFolder({ body }, { vault }) {
    return { ok: true, ...(await vault.createFolder(body.path)) };
  },

  async deleteFolder({ query }, { vault }) {
    await vault.removeFolder(query.path);
    return { ok: true };
  },

  listTrash({ query }, { vault }) {
    return vault.trash(query.limit);
  },

  async restoreNote({ body }, { vault }) {
    return { ok: true, ...(await vault.restore(body.id, body.path)) };
  },
};
