"""`python -m deploy.monitoring`: write rules and dashboard (`make monitoring`)."""

from __future__ import annotations

from deploy.monitoring.write import write_all

if __name__ == "__main__":
    for path in write_all():
        print(f"written: {path}")
