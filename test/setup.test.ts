import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const script = path.join(import.meta.dirname, '../../scripts/setup');

function setup(env: NodeJS.ProcessEnv): { status: number | null; lines: string[] } {
  const { status, stderr } = spawnSync(script, {
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return { status, lines: stderr.trimEnd().split('\n') };
}

describe('scripts/setup', () => {
  describe('with everything missing and AIO_SETUP=never', () => {
    const expected: Record<string, { command: string; packages: string }> = {
      apt: {
        command:
          'apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends',
        packages:
          'clang clang-format fontconfig fonts-dejavu-core g++ gcc gobject-introspection libc6-dev libcairo2-dev libclang-rt-dev ' +
          'libgirepository1.0-dev libgl1-mesa-dri libglib2.0-dev libgtk-3-dev libgtk-4-dev liburing-dev make ' +
          'meson ninja-build pkg-config procps python3 spin xvfb',
      },
      dnf: {
        command: 'dnf install -y',
        packages:
          'cairo-devel cairo-gobject-devel clang clang-tools-extra compiler-rt dejavu-sans-fonts fontconfig gcc gcc-c++ ' +
          'glib2-devel gobject-introspection-devel gtk3-devel gtk4-devel libasan libtsan libubsan liburing-devel ' +
          'make mesa-dri-drivers meson ninja-build pkgconf-pkg-config procps-ng python3 xorg-x11-server-Xvfb',
      },
      pacman: {
        command: 'pacman -S --needed --noconfirm',
        packages:
          'cairo clang compiler-rt fontconfig gcc glib2 gobject-introspection gtk3 gtk4 liburing make mesa meson ninja ' +
          'pkgconf procps-ng python ttf-dejavu xorg-server-xvfb',
      },
      zypper: {
        command: 'zypper --non-interactive install --no-recommends',
        packages:
          'Mesa-dri cairo-devel clang-tools dejavu-fonts fontconfig gcc gcc-c++ glib2-devel ' +
          'gobject-introspection gobject-introspection-devel gtk3-devel gtk4-devel liburing-devel make meson ' +
          'ninja pkgconf-pkg-config procps python3 xorg-x11-server-Xvfb',
      },
    };

    for (const [manager, { command, packages }] of Object.entries(expected)) {
      it(`prints the line for ${manager} and fails`, () => {
        const { status, lines } = setup({
          AIO_SETUP: 'never',
          AIO_SETUP_MANAGER: manager,
          AIO_SETUP_ASSUME_MISSING: 'all',
        });

        assert.equal(status, 1);
        assert.match(lines[0] ?? '', /^setup: missing: C compiler, .*, vmstat$/);
        const line = (lines.at(-1) ?? '').replaceAll('sudo ', '').replace(/^su -c '(.*)'$/, '$1');
        assert.equal(line, `${command} ${packages}`);
      });
    }
  });

  it('says so when no package manager is known', () => {
    const { status, lines } = setup({ AIO_SETUP_MANAGER: 'none', AIO_SETUP_ASSUME_MISSING: 'all' });

    assert.equal(status, 1);
    assert.match(lines.at(-1) ?? '', /no apt, dnf, pacman or zypper/);
  });

  describe('with meson alone missing', () => {
    let folder: string;

    // A search path with all commands of this machine but meson, and stand-ins for the given ones.
    beforeEach(() => {
      folder = mkdtempSync(path.join(tmpdir(), 'aio-setup-'));
      for (const directory of (process.env.PATH ?? '').split(':').filter((entry) => existsSync(entry))) {
        for (const name of readdirSync(directory)) {
          if (name !== 'meson' && !existsSync(path.join(folder, name))) {
            rmSync(path.join(folder, name), { force: true });
            symlinkSync(path.join(directory, name), path.join(folder, name));
          }
        }
      }
      standIn('apt-get', `echo "$* [$DEBIAN_FRONTEND]" >>${folder}/apt-get.log; [ "$1" = update ]`);
    });

    afterEach(() => {
      rmSync(folder, { recursive: true });
    });

    function standIn(name: string, body: string): void {
      const file = path.join(folder, name);
      rmSync(file, { force: true });
      writeFileSync(file, `#!/bin/sh\n${body}\n`);
      chmodSync(file, 0o755);
    }

    it('installs meson and nothing else as root', () => {
      standIn('id', 'echo 0');

      const { status } = setup({ PATH: folder, AIO_SETUP_MANAGER: 'apt' });

      assert.equal(status, 1, 'the stand-in refuses to install');
      assert.deepEqual(readFileSync(path.join(folder, 'apt-get.log'), 'utf8').trimEnd().split('\n'), [
        'update []',
        'install -y --no-install-recommends meson [noninteractive]',
      ]);
    });

    it('uses sudo where it needs no password', () => {
      standIn('id', 'echo 1000');
      standIn('sudo', 'case "$1" in -n) exit 0 ;; *) exec "$@" ;; esac');

      const { status, lines } = setup({ PATH: folder, AIO_SETUP_MANAGER: 'apt' });

      assert.equal(status, 1, 'the stand-in refuses to install');
      assert.match(lines.at(-1) ?? '', /^setup: sudo apt-get update && sudo env DEBIAN_FRONTEND=/);
      assert.equal(readFileSync(path.join(folder, 'apt-get.log'), 'utf8').split('\n').length, 3);
    });

    it('prints the line where sudo would ask for a password', () => {
      standIn('id', 'echo 1000');
      standIn('sudo', '[ "$1" != -n ] || exit 1; echo asked >&2');

      const { status, lines } = setup({ PATH: folder, AIO_SETUP_MANAGER: 'apt' });

      assert.equal(status, 1);
      assert.deepEqual(lines, [
        'setup: missing: meson',
        'setup: run this line, then try again:',
        'sudo apt-get update && sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y ' +
          '--no-install-recommends meson',
      ]);
      assert.ok(!existsSync(path.join(folder, 'apt-get.log')));
    });
  });
});
