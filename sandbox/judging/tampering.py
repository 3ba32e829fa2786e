"""Programs whose text names something that coverage relies on."""

import re

_SUSPICIOUS = re.compile(
    r"""\b(?:
        sys\.monitoring | settrace | setprofile | _getframe | _current_frames | tb_frame | f_back
      | walk_stack | walk_tb | extract_stack
      | gi_frame | cr_frame | ag_frame | __closure__ | __globals__ | __subclasses__
      | cell_contents | co_code | addaudithook
      | ctypes | importlib | __import__ | __loader__ | __spec__ | sys\.modules | mmap | _testcapi
      | (?:import|from)\s+(?:[\w.]+\s*,\s*)*(?:gc|inspect|faulthandler)\b
    )|/proc/""",
    re.VERBOSE,
)


def is_suspicious(source: str) -> bool:
    """Whether the source names frames, tracing, raw memory or the like; comments count too.

    A cheap addition to the runner's audit hook, which sees what a program does under any name.
    False alarms cost little: only the coverage of such a program is not used.
    """
    return _SUSPICIOUS.search(source) is not None
