// The real services behind the server: Redis and PostgreSQL.
import { readFileSync, readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { connect } from 'node:net';
import { freePort, start, tempDir, until } from './process.mjs';

function connects(port) {
  return new Promise((resolve) => {
    const s = connect(port, '127.0.0.1');
    s.on('connect', () => {
      s.destroy();
      resolve(true);
    });
    s.on('error', () => resolve(false));
  });
}

export async function startRedis() {
  const port = await freePort();
  const { dir, remove } = tempDir('redis');
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'];
  let proc = start('redis-server', args);
  await until('redis', () => connects(port));
  return {
    url: `redis://127.0.0.1:${port}/0`,
    async restart() {
      await proc.stop();
      proc = start('redis-server', args);
      await until('redis', () => connects(port));
    },
    async stop() {
      await proc.stop();
      remove();
    },
  };
}

export async function startPostgres() {
  const root = '/usr/lib/postgresql';
  const newest = readdirSync(root).sort((a, b) => Number(a) - Number(b)).pop();
  const bin = path.join(root, newest, 'bin');
  const asPostgres = process.getuid() === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
  const { dir, remove } = tempDir('postgres', asPostgres.length ? 'postgres' : undefined);
  const data = path.join(dir, 'data');
  const cmd = (name, ...args) => [...asPostgres, path.join(bin, name), ...args];
  const [init, ...initArgs] = cmd('initdb', '-D', data, '-U', 'chatmed', '-A', 'trust', '-N');
  const made = spawnSync(init, initArgs, { encoding: 'utf8', cwd: dir });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const port = await freePort();
  const [run, ...runArgs] = cmd('postgres', '-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-k', dir, '-c', 'fsync=off');
  const proc = start(run, runArgs, { cwd: dir });
  const url = `postgres://chatmed@127.0.0.1:${port}/postgres?sslmode=disable`;
  await until('postgres', () => proc.log.includes('ready to accept connections'));
  return {
    url,
    async stop() {
      // The server itself, not runuser; SIGINT is PostgreSQL's fast shutdown.
      const pid = Number(readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
      process.kill(pid, 'SIGINT');
      await proc.done;
      remove();
    },
  };
}
