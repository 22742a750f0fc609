"""The clients in every language: what each needs, and how it is compiled and run.

    clients.py packages [all]   Debian packages that are missing for the light ones, or for all
    clients.py modules          installs the npm modules
    clients.py build            compiles what can be compiled here, into build/languages
    clients.py missing          names the languages that cannot run here

Each client is `client PATH INDEX VALUE`: it maps the float64 array PATH read-write, prints the sum of
all elements, and stores VALUE at INDEX. A language is one line of LANGUAGES; that line and a file in
clients/ are all that a new one takes. Light ones are installed by every tests/run.sh.
"""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WORK = HERE.parents[1] / "build/languages"
_MODULES = WORK / "node_modules"
TIMEOUT_S = 300


@dataclass(frozen=True)
class Language:
    """In the commands {source} is the client's source and {program} what the first makes of it.

    It is compiled in a directory of its own, {place}, from a copy: compilers leave more than a program.
    {clients} is where the sources are.
    """

    name: str
    maps_with: str
    source: str
    packages: str
    build: str = ""
    run: str = "{program}"
    light: bool = False
    probe: str = ""  # a shell command that succeeds when libraries are there, too
    npm: str = ""  # modules of npm

    @property
    def _place(self) -> Path:
        return WORK / self.source.replace(".", "-")

    @property
    def _original(self) -> Path:
        return HERE / "clients" / self.source

    def _words(self, command: str, source: Path) -> list[str]:
        names = {"source": source, "program": self._place / "client", "place": self._place, "python": sys.executable,
                 "clients": HERE / "clients"}
        return [word.format(**names) for word in shlex.split(command)]

    def has_tools(self) -> bool:
        commands = [self._words(text, self._original)[0] for text in (self.build, self.run)
                    if text and not text.startswith("{program}")]
        return all(map(shutil.which, commands)) and (
            not self.probe or subprocess.run(self.probe, shell=True, capture_output=True, check=False).returncode == 0)

    def is_installed(self) -> bool:
        names = [module.rpartition("@")[0] for module in self.npm.split()]
        return self.has_tools() and all((_MODULES / name).is_dir() for name in names)

    def compile(self) -> None:
        """Makes the program anew where its source is newer. CalledProcessError."""
        copy = self._place / self.source
        compiled = self._place / "compiled"
        if not self.build or compiled.exists() and compiled.stat().st_mtime > self._original.stat().st_mtime:
            return
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        shutil.copy(self._original, copy)
        subprocess.run(self._words(self.build, copy), check=True, timeout=TIMEOUT_S, cwd=self._place)
        compiled.touch()

    def command(self, *arguments: str) -> list[str]:
        return [*self._words(self.run, self._original), *arguments]


_GXX = "g++ -std=c++20 -O2 -Wall -Wextra -Werror -o {program} {source}"
_VALAC = "valac --pkg posix -X -O2 -o {program} {source}"
_KOFFI = "`mmap` through koffi, a `Float64Array`"
_LIBJVM = "/usr/lib/jvm/default-java/lib/server"

LANGUAGES = [
    Language("Python, np.load", "`np.load`", "client_load.py", "python3-numpy", run="{python} {source}", light=True),
    Language("Python, np.memmap", "`np.memmap`", "client_memmap.py", "python3-numpy", run="{python} {source}", light=True),
    Language("Python, mmap", "`mmap`, `memoryview`", "client_mmap.py", "python3", run="{python} {source}", light=True),
    Language("C", "`mmap`", "client.c", "gcc", "gcc -O2 -Wall -Wextra -Werror -o {program} {source}", light=True),
    Language("C++", "`mmap`, `std::span`", "client.cpp", "g++", _GXX, light=True),
    Language("C++, xtensor", "`mmap`, `xt::adapt`", "client_xtensor.cpp", "g++ libxtensor-dev", _GXX, light=True,
             probe="echo '#include <xtensor/xadapt.hpp>' | g++ -std=c++20 -E -x c++ -"),
    Language("C++, Boost", "`boost::interprocess`", "client_interprocess.cpp", "g++ libboost-dev", _GXX,
             probe="echo '#include <boost/interprocess/file_mapping.hpp>' | g++ -E -x c++ -"),
    Language("Fortran", "`mmap`, a pointer array", "client.f90", "gfortran",
             "gfortran -O2 -Wall -Werror -o {program} {source}", light=True),
    Language("Assembly, x86-64", "the system call `mmap`", "client.s", "gcc", "gcc -o {program} {source}", light=True,
             probe="uname -m | grep -qx x86_64"),
    Language("Perl", "`File::Map`", "client.pl", "perl libfile-map-perl", run="perl {source}", light=True,
             probe="perl -MFile::Map -e 1"),
    Language("LuaJIT", "`mmap` through `ffi`", "client.lua", "luajit", run="luajit {source}", light=True),
    Language("Rust", "`mmap`, a slice", "client.rs", "rustc", "rustc --edition 2021 -O -o {program} {source}"),
    Language("Go", "`syscall.Mmap`", "client.go", "golang-go", "go build -o {program} {source}"),
    Language("Objective-C", "`mmap`, an object that owns it", "client_objc.m", "gobjc",
             "gcc -std=gnu17 -O2 -Wall -Wextra -Werror -o {program} {source} -lobjc",
             probe="echo '#import <objc/objc.h>' | gcc -E -x objective-c -"),
    Language("Vala", "`Posix.mmap`, an unowned array", "client.vala", "valac libglib2.0-dev gcc", _VALAC),
    Language("Genie", "`Posix.mmap`, a pointer", "client.gs", "valac libglib2.0-dev gcc", _VALAC),
    Language("Crystal", "`LibC.mmap`, a `Slice`", "client.cr", "crystal", "crystal build -o {program} {source}"),
    Language("Nim", "`std/memfiles`", "client.nim", "nim",
             "nim compile --hints:off --opt:speed --nimcache:{place} -o:{program} {source}"),
    Language("D", "`std.mmfile`", "client.d", "gdc", "gdc -O2 -o {program} {source}"),
    Language("Ada", "`mmap`, an array at its address", "client.adb", "gnat",
             "gnatmake -q -O2 -o {program} {source}"),
    Language("Pascal", "`FpMMap`", "client.pas", "fp-compiler fp-units-rtl", "fpc -v0 -l- -o{program} {source}"),
    Language("Modula-2", "`mmap`, an array behind a pointer", "client.mod", "gm2",
             # gm2 looks for its own modules in that path, too, and for no others where it is set.
             "env -u LIBRARY_PATH gm2 -O2 -flibs=pim,iso -I{clients} -o {program} {source}", probe="which gm2"),
    Language("COBOL", "`mmap`, a table at its address", "client.cob", "gnucobol3",
             "cobc -x -free -O -o {program} {source}"),
    Language("BASIC, Yabasic", "`mmap`, a foreign buffer", "client.bas", "yabasic", run="yabasic {source} --"),
    # Gforth and critcl compile at run time, into HOME what they then find there.
    Language("Forth, Gforth", "`mmap`, floats at addresses", "client.fs", "gforth gcc libtool-bin",
             "env HOME={place} gforth {source}", "env HOME={place} gforth {place}/client.fs", probe="which gforth gcc libtool"),
    Language("Java", "`FileChannel.map`", "Client.java", "default-jdk-headless", "javac -d {place} {source}",
             "java -cp {place} Client"),
    Language("Scala", "`FileChannel.map`", "client.scala", "scala", "scalac -d {place} {source}", "scala -cp {place} Client"),
    Language("Groovy", "`FileChannel.map`", "client.groovy", "groovy", run="groovy {source}"),
    Language("Clojure", "`FileChannel.map`", "client.clj", "clojure", run="clojure {source}"),
    Language("C#", "`MemoryMappedFile`", "Client.cs", "mono-mcs mono-runtime libmono-system-core4.0-cil",
             "mcs -r:System.Core -out:{program} {source}", "mono {program}"),
    Language("JavaScript, Node", _KOFFI, "client.js", "nodejs npm",
             run=f"env NODE_PATH={_MODULES} node {{source}}", probe="which node npm", npm="koffi@3"),
    Language("TypeScript, Node", _KOFFI, "client.mts", "nodejs npm",
             f"node {_MODULES}/typescript/bin/tsc --strict --target es2022 --module node16 --outDir {{place}} {{source}}",
             "node {place}/client.mjs", probe="which npm", npm="koffi@3 typescript@5 @types/node@20"),
    Language("CoffeeScript, Node", _KOFFI, "client.coffee", "coffeescript",
             run=f"env NODE_PATH={_MODULES} coffee {{source}}", probe="which coffee", npm="koffi@3"),
    Language("Haxe, Node", _KOFFI, "Client.hx", "haxe",
             "haxe --class-path {place} --main Client --js {program}", "node {program}", probe="which npm", npm="koffi@3"),
    Language("R", "its `mmap_file` (ALTREP)", "client.R", "r-base-core", run="Rscript {source}"),
    Language("Octave", "Java's `FileChannel.map`", "client.m", "octave default-jre-headless",
             run="octave-cli --no-gui --quiet {source}", probe=f"test -e {_LIBJVM}/libjvm.so"),
    Language("Cython", "`mmap` of `posix.mman`, a pointer", "client.pyx", "cython3 python3-dev gcc",
             "sh -c 'cython3 -3 --embed client.pyx && "
             "gcc -O2 -Wno-deprecated-declarations -o client client.c $({python}-config --embed --includes --ldflags)'",
             probe="which cython3 gcc python3-config"),
    Language("Ruby", "`IO::Buffer.map`", "client.rb", "ruby", run="ruby -W:no-experimental {source}"),
    Language("PHP", "`mmap` through `FFI`", "client.php", "php-cli", run="php -d ffi.enable=1 {source}",
             probe="php -m | grep -qx FFI"),
    Language("Raku", "`mmap` through `NativeCall`", "client.raku", "rakudo", run="raku {source}"),
    Language("Pike", "`System.Memory`", "client.pike", "pike8.0-core", run="pike8.0 {source}"),
    Language("Tcl", "`mmap`, C through critcl", "client.tcl", "critcl tcl", "env HOME={place} tclsh {source}",
             "env HOME={place} tclsh {place}/client.tcl", probe="which tclsh critcl gcc"),
    Language("OCaml", "`Unix.map_file`, a `Bigarray`", "client.ml", "ocaml-nox",
             "ocamlopt -I +unix unix.cmxa -o {program} {source}"),
    Language("Standard ML, Poly/ML", "`mmap` through `Foreign`", "client.sml", "polyml",
             run="poly --script {source}"),
    Language("Haskell", "`System.IO.MMap`", "client.hs", "ghc libghc-mmap-dev",
             "ghc -O -Wall -o {program} {source}", probe="ghc-pkg describe mmap"),
    Language("Prolog, SWI", "Java's `FileChannel.map`", "client.prolog", "swi-prolog-java default-jre-headless",
             run=f"env LD_LIBRARY_PATH={_LIBJVM} swipl {{source}}",
             probe=f"test -e {_LIBJVM}/libjvm.so -a -e /usr/lib/swi-prolog/library/jpl.pl"),
    Language("Common Lisp, SBCL", "`sb-posix:mmap`", "client.lisp", "sbcl", run="sbcl --script {source}"),
    Language("Scheme, Guile", "`mmap`, a bytevector", "client.scm", "guile-3.0", run="guile --no-auto-compile {source}"),
    Language("newLISP", "`mmap` through `import`", "client.lsp", "newlisp", run="newlisp {source}"),
    Language("PicoLisp", "`mmap` through `native`", "client.l", "picolisp", run="pil {source}"),
]


def main() -> None:
    what = sys.argv[1:]
    if what in (["packages"], ["packages", "all"]):
        wanted = [language for language in LANGUAGES if language.light or "all" in what]
        print(*sorted({name for language in wanted if not language.has_tools() for name in language.packages.split()}))
    elif what == ["modules"]:
        if not all(language.is_installed() for language in LANGUAGES if language.npm):
            # In one command: npm removes what a command does not name.
            modules = sorted({module for language in LANGUAGES for module in language.npm.split()})
            subprocess.run(["npm", "install", "--no-save", "--prefix", str(WORK), *modules], check=True, timeout=TIMEOUT_S)
    elif what == ["build"]:
        for language in LANGUAGES:
            if language.is_installed():
                language.compile()
    elif what == ["missing"]:
        names = [language.name for language in LANGUAGES if not language.is_installed()]
        if names:
            print("not installed here:", "; ".join(names))
    else:
        sys.exit("usage: clients.py packages [all] | modules | build | missing")


if __name__ == "__main__":
    main()
