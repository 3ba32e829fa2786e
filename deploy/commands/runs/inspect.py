"""`stepcoder inspect`: pages of what a policy wrote, what ran and what was learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="inspect",
    help_epilogue="""\
Examples:
  stepcoder inspect runs/smoke
  stepcoder inspect runs/eval/qwen-humaneval --out pages
  stepcoder inspect runs/smoke --serve
  stepcoder inspect s3://bucket/runs/smoke --out pages      fetches its rollouts

The folder holds everything: open its index.html, copy it, or send it.""",
)


@app.default
def inspect(
    source: Annotated[str, Parameter(help="Folder of a run or an evaluation, or a run's URL.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(("--out", "-o"), help="Folder to write; `inspect/` in the source by default."),
    ] = None,
    serve: Annotated[bool, Parameter(help="Serve the folder on this machine afterwards.")] = False,
    port: Annotated[int, Parameter(help="Port of --serve; 0 takes a free one.")] = 8090,
) -> int:
    """Write pages that show each sample: what was executed, masked, tested and rewarded.

    What a run records is set by `loop.record`; an evaluation records every sample.
    """
    from deploy.inspection.site import build_site, check_out, open_source
    from deploy.logs import log_to_stdout
    from deploy.progress import StageProgress
    from deploy.stored.fetch import local_folder, rollouts

    log_to_stdout()
    path = local_folder(source, rollouts)
    folder = out or (path.parent if path.is_file() else path) / "inspect"
    what, groups = open_source(path)
    check_out(folder)
    with StageProgress() as progress:
        progress.begin("groups", None)
        samples = build_site(what, groups, folder, progress.step)
    print(f"{samples} samples: {folder / 'index.html'}")
    if serve:
        from deploy.inspection.server import open_server

        with open_server(folder, port) as server:
            print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
            server.serve_forever()
    return 0
