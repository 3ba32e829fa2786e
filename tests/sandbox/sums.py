"""Programs that read a count and numbers, and print their sum, in unusual but correct ways."""

TESTS = (("3\n1 2 3\n", "6\n"), ("2\n10 20\n", "30\n"))
SUMS = {
    "fileinput left open": (
        "import fileinput\nlines = fileinput.input()\nn = int(lines.readline())\n"
        "print(sum(map(int, lines.readline().split())))\n"
    ),
    "asyncio": (
        "import asyncio\nasync def total(values):\n    await asyncio.sleep(0)\n"
        "    return sum(values)\nasync def main():\n    input()\n"
        "    print(await total(list(map(int, input().split()))))\nasyncio.run(main())\n"
    ),
    "thread pool left open": (
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\ninput()\n"
        "values = list(map(int, input().split()))\nprint(pool.submit(sum, values).result())\n"
    ),
    "stdout closed": (
        "import sys\ninput()\nsys.stdout.write(f'{sum(map(int, input().split()))}\\n')\n"
        "sys.stdout.close()\n"
    ),
    "fast exit": (
        "import os\nimport sys\ninput()\nprint(sum(map(int, input().split())))\n"
        "sys.stdout.flush()\nos._exit(0)\n"
    ),
    "stack limit": (
        "import resource\nimport sys\n"
        "resource.setrlimit(resource.RLIMIT_STACK, [0x10000000, resource.RLIM_INFINITY])\n"
        "sys.setrecursionlimit(0x100000)\ninput()\nprint(sum(map(int, input().split())))\n"
    ),
    "the whole input by its size": (
        "import io, os\nread = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\nread()\n"
        "print(sum(map(int, read().split())))\n"
    ),
    "own buffers over both descriptors": (
        "import io, os, sys\n"
        "class Buffered(io.IOBase):\n"
        "    def __init__(self, file):\n"
        "        self.fd, self.buffer = file.fileno(), io.BytesIO()\n"
        "        self.write = self.buffer.write\n"
        "    def flush(self):\n"
        "        os.write(self.fd, self.buffer.getvalue())\n"
        "        self.buffer.seek(0), self.buffer.truncate(0)\n"
        "class Text(io.IOBase):\n"
        "    def __init__(self, file):\n"
        "        self.buffer = Buffered(file)\n"
        "        self.write = lambda text: self.buffer.write(text.encode('ascii'))\n"
        "        self.flush = self.buffer.flush\n"
        "sys.stdin, sys.stdout = open(0), Text(sys.stdout)\ninput()\n"
        "print(sum(map(int, input().split())))\n"
    ),
    "device files": (
        "lines = open('/dev/stdin').read().split()\n"
        "with open('/dev/stdout', 'w') as out: print(sum(map(int, lines[1:])), file=out)\n"
    ),
    "builtins by their module": (
        "__builtins__.input()\nprint(__builtins__.sum(map(int, input().split())))\n"
    ),
    "its own path": (
        "import os, sys\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\nassert sys.argv[0]\n"
        "input()\nprint(sum(map(int, input().split())))\n"
    ),
    "a state of the standard library": (
        "import decimal, random, sys\nassert sys.getrecursionlimit() == 1000\n"
        "assert decimal.getcontext().prec == 28\nsys.setrecursionlimit(10**5)\n"
        "decimal.getcontext().prec = 5\ninput()\nprint(sum(map(int, input().split())))\n"
    ),
    "recursion to the very limit": (
        "def f(n): return n and 1 + f(n - 1)\ninput()\nassert f(990) == 990\n"
        "print(sum(map(int, input().split())))\n"
    ),
    "output of an object's end": (
        "class Late:\n    def __init__(self, text): self.text = text\n"
        "    def __del__(self): print(self.text)\n"
        "input()\nlate = Late(sum(map(int, input().split())))\n"
    ),
    "many threads": (
        "import threading\ninput()\nvalues, total, lock = input().split(), [0], threading.Lock()\n"
        "start = threading.Barrier(40)\n"
        "def add(n):\n    start.wait()\n    with lock: total[0] += n\n"
        "threads = [threading.Thread(target=add, args=(0,)) for _ in range(40 - len(values))]\n"
        "threads += [threading.Thread(target=add, args=(int(v),)) for v in values]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\nprint(total[0])\n"
    ),
    "recursion through a cache in a thread": (
        "import functools, sys, threading\nsys.setrecursionlimit(10**6)\n"
        "threading.stack_size(1 << 27)\n@functools.lru_cache(None)\n"
        "def f(n): return n and 1 + f(n - 1)\n"
        "def main():\n    input()\n    assert f(20000) == 20000\n"
        "    print(sum(map(int, input().split())))\n"
        "thread = threading.Thread(target=main)\nthread.start()\nthread.join()\n"
    ),
}
