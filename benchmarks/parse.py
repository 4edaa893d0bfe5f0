"""How long parsing 10,000 lines takes: ``python -m benchmarks.parse``. There is nobody to compete with."""

from __future__ import annotations

import time

from ocibuild.dockerfile import parse

LINES = 10_000
_STEP = """\
# what the next step is for
RUN --mount=type=cache,target=/root/.cache make $A && \\
  make install
COPY --from=build --chown=1:2 a b /c/
ENV A="x y" B=${A:-1}
RUN <<EOF
set -e
echo $A
EOF
LABEL org.example.name=value
"""


def main() -> None:
    text = b"FROM scratch\n" + _STEP.encode() * (LINES // _STEP.count("\n"))
    times = []
    for _ in range(10):
        started = time.perf_counter()
        parse(text, file="Dockerfile")
        times.append(time.perf_counter() - started)
    print(f"{LINES} lines: {min(times):.3f} s at best, {sorted(times)[len(times) // 2]:.3f} s as a rule")


if __name__ == "__main__":
    main()
