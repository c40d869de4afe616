// The server under test: the built binary, configured by CHATMED_* only.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, freeUDPPort, start, tempDir, until } from './process.mjs';

const binary = process.env.CHATMED_E2E_BINARY ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../bin/chatmed');

/** Starts bin/chatmed serve and makes a key for it. */
export async function startServer(extra = {}, { origins } = {}) {
  const [port, udp, admin] = [await freePort(), await freeUDPPort(), await freePort()];
  const { dir, remove } = tempDir('server');
  const url = `http://127.0.0.1:${port}`;
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    CHATMED_ADDR: `127.0.0.1:${port}`,
    CHATMED_ADMIN_ADDR: `127.0.0.1:${admin}`,
    CHATMED_PUBLIC_URL: url,
    CHATMED_UDP_PORT: String(udp),
    CHATMED_NODE_IP: '127.0.0.1',
    CHATMED_DATA_DIR: dir,
    CHATMED_LOG_LEVEL: 'debug',
    ...extra,
  };
  const run = async () => {
    const proc = start(binary, ['serve'], { env, cwd: dir });
    await until('the server', async () => {
      if (proc.exited) throw new Error(`the server ended:\n${proc.log}`);
      return (await fetch(`${url}/readyz`)).ok;
    });
    return proc;
  };
  let proc = await run();
  const made = spawnSync(
    binary,
    ['keys', 'create', '--name', 'e2e', '--plan', 'enterprise', '--mode', 'test', ...(origins ? ['--origins', origins] : [])],
    { env, cwd: dir, encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`keys create: ${made.stderr}`);
  const key = made.stdout.trim().split('\n').pop();
  const logs = [];
  return {
    url,
    admin: `http://127.0.0.1:${admin}`,
    key,
    dir,
    /** Everything the server has logged, over restarts. */
    get log() {
      return [...logs, proc.log].join('');
    },
    async restart() {
      const { code } = await proc.stop();
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${proc.log}`);
      logs.push(proc.log);
      proc = await run();
    },
    async stop() {
      const { code } = await proc.stop();
      remove();
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${proc.log}`);
    },
    /** A REST call; the answer's JSON with its HTTP status. */
    async api(method, pathname, body) {
      const res = await fetch(`${url}/api/v1${pathname}`, {
        method,
        headers: { 'X-API-Key': key, ...(body ? { 'Content-Type': 'application/json' } : {}) },
        body: body ? JSON.stringify(body) : undefined,
      });
      return { http: res.status, ...(await res.json()) };
    },
  };
}
