import resource
import time

from exchanged import jobs

T = {}


def none(args, files, out, progress):
    return {}, b""


def timed(args, files, out, progress):
    import cProfile
    import io
    import pstats

    r0 = resource.getrusage(resource.RUSAGE_SELF)
    fn = getattr(jobs, args.pop("_job"))
    t = time.perf_counter()
    c = time.process_time()
    if args.pop("_prof", False):
        p = cProfile.Profile()
        v, b = p.runcall(fn, args, files, out, progress)
        s = io.StringIO()
        pstats.Stats(p, stream=s).sort_stats("tottime").print_stats(28)
        pstats.Stats(p, stream=s).sort_stats("cumtime").print_stats(35)
        txt = s.getvalue()
    else:
        v, b = fn(args, files, out, progress)
        txt = ""
    r1 = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "start_cpu": (r0.ru_utime + r0.ru_stime) * 1000,
        "start_flt": r0.ru_minflt,
        "cpu": (time.process_time() - c) * 1000,
        "wall": (time.perf_counter() - t) * 1000,
        "flt": r1.ru_minflt - r0.ru_minflt,
        "stime": (r1.ru_stime - r0.ru_stime) * 1000,
        "txt": txt,
        "bytes": v.get("bytes"),
    }, b""
