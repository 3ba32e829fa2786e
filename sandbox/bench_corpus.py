"""What the benchmark runs: small programs of the usual kinds, with tests made by trusted runs.

They are light, about a third of a millisecond each without any isolation, so that what is measured
is what running them costs; heavier programs make every way of running them look alike.
"""

from typing import Any

from curriculum.problem import Test
from sandbox.job import Job

TESTS_PER_PROGRAM = 7
_LISTS = [[[(i * k * 7 + k) % 23 - 5 for i in range(60 + 5 * k)]] for k in range(TESTS_PER_PROGRAM)]
_NUMBERS = [[n] for n in (1, 2, 7, 60, 365, 997, 2000)]
_TEXTS = [
    [text] for text in ("", "a", "abcba", "([]{})", "([)]", "to be or not to be", "aAbB xyz " * 99)
]

_ON_LISTS = (
    "def f(a):\n    s = 0\n    for x in a:\n        if x > 6:\n            s += x\n"
    "        else:\n            s -= 1\n    return s\n",
    "def f(a):\n    a = a[:]\n    for i in range(len(a)):\n"
    "        for j in range(len(a) - 1 - i):\n"
    "            if a[j] > a[j + 1]:\n                a[j], a[j + 1] = a[j + 1], a[j]\n"
    "    return a\n",
    "def f(a):\n    seen = {}\n    for i, x in enumerate(a):\n        if 9 - x in seen:\n"
    "            return [seen[9 - x], i]\n        seen[x] = i\n    return []\n",
    "def f(a):\n    best = now = a[0]\n    for x in a[1:]:\n        now = max(x, now + x)\n"
    "        best = max(best, now)\n    return best\n",
    "import heapq\n\ndef f(a):\n    h = []\n    for x in a:\n        heapq.heappush(h, x)\n"
    "        if len(h) > 3:\n            heapq.heappop(h)\n    return sorted(h)\n",
    "from collections import Counter\n\ndef f(a):\n    c = Counter(a)\n    top = c.most_common(1)\n"
    "    if not top:\n        return None\n    return max(x for x in c if c[x] == top[0][1])\n",
    "class Solution:\n    def f(self, a):\n        tails = []\n        for x in a:\n"
    "            lo, hi = 0, len(tails)\n            while lo < hi:\n"
    "                m = (lo + hi) // 2\n"
    "                if tails[m] < x: lo = m + 1\n                else: hi = m\n"
    "            tails[lo:lo + 1] = [x]\n        return len(tails)\n",
    "def f(a):\n    out = []\n    for i in range(0, len(a), 3):\n        part = a[i:i + 3]\n"
    "        if sum(part) % 2: part.reverse()\n        out.append(part)\n    return out\n",
)
_ON_NUMBERS = (
    "def f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n",
    "def f(n):\n    out = []\n    p = 2\n    while n > 1:\n        while n % p == 0:\n"
    "            out.append(p)\n            n //= p\n        p += 1\n    return out\n",
    "def f(n):\n    s = [True] * (n + 1)\n    for p in range(2, n + 1):\n        if s[p]:\n"
    "            for q in range(p * p, n + 1, p):\n                s[q] = False\n"
    "    return [p for p in range(2, n + 1) if s[p]]\n",
    "def f(n):\n    steps = 0\n    while n != 1:\n        if n % 2: n = 3 * n + 1\n"
    "        else: n //= 2\n        steps += 1\n    return steps\n",
    "import math\n\ndef f(n):\n    try:\n        return math.sqrt(n - 2) / (n - 7)\n"
    "    except ZeroDivisionError:\n        return -1\n    except ValueError:\n        return -2\n",
    "def f(n):\n    def go(k, left):\n        if k == 0 or left == 0: return int(left == 0)\n"
    "        return go(k - 1, left) + (go(k, left - k) if left >= k else 0)\n"
    "    return go(min(n, 9), min(n, 12))\n",
    "def f(n):\n    d = [10 ** 9] * (n + 1)\n    d[0] = 0\n    for v in range(1, n + 1):\n"
    "        for c in (1, 5, 12):\n            if c <= v:\n"
    "                d[v] = min(d[v], d[v - c] + 1)\n"
    "    return d[n]\n",
    "def f(n):\n    digits = ''\n    while n:\n        n, r = divmod(n, 2)\n"
    "        digits = str(r) + digits\n    return digits or '0'\n",
)
_ON_TEXTS = (
    "def f(s):\n    for i in range(len(s) // 2):\n        if s[i] != s[-1 - i]:\n"
    "            return False\n    return True\n",
    "def f(s):\n    stack = []\n    pairs = {')': '(', ']': '[', '}': '{'}\n    for c in s:\n"
    "        if c in '([{':\n            stack.append(c)\n        elif c in pairs:\n"
    "            if not stack or stack.pop() != pairs[c]:\n                return False\n"
    "    return not stack\n",
    "def f(s):\n    return ' '.join(w[::-1] if len(w) > 2 else w.upper() for w in s.split())\n",
    "def f(s):\n    out, i = [], 0\n    while i < len(s):\n        j = i\n"
    "        while j < len(s) and s[j] == s[i]: j += 1\n        out.append((s[i], j - i))\n"
    "        i = j\n    return out\n",
    "import re\n\ndef f(s):\n    return re.sub(r'[aeiou]', lambda m: m[0].upper(), s)\n",
    "def f(s):\n    last, best, start = {}, 0, 0\n    for i, c in enumerate(s):\n"
    "        if last.get(c, -1) >= start: start = last[c] + 1\n        last[c] = i\n"
    "        best = max(best, i - start + 1)\n    return best\n",
)
TIGHT_LOOP = (
    "def f(n):\n    t = 0\n    i = 0\n    while i < n:\n        if i & 3:\n            t += i\n"
    "        else:\n            t ^= i\n        i += 1\n    return t\n"
)
"""The worst case for a tracer: many executions of few statements."""


def corpus() -> list[Job]:
    """22 programs with seven tests each; the expected outputs are those of a run right here."""
    groups = ((_ON_LISTS, _LISTS), (_ON_NUMBERS, _NUMBERS), (_ON_TEXTS, _TEXTS))
    pairs = [(source, inputs) for sources, inputs in groups for source in sources]
    return [_job(f"bench-{i}", source, inputs) for i, (source, inputs) in enumerate(pairs)]


def tight_loop(rounds: int = 150_000) -> Job:
    """One long call: the cost of coverage where it would hurt most."""
    return _job("tight", TIGHT_LOOP, [[rounds]])


def _job(name: str, source: str, inputs: list[list[Any]]) -> Job:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # ours, not a policy's
    function = namespace["f"] if "f" in namespace else namespace["Solution"]().f
    tests = tuple(Test(input=given, output=function(*given)) for given in inputs)
    return Job(id=name, source=source, fn_name="f", tests=tests)
