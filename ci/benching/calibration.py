"""How fast this machine is, so that a figure can be believed: a fixed piece of work on each processor at once, and a call to the
kernel. What moves between the beginning and the end of a row was not the row's doing, and what others take meanwhile is missing
in it."""
import hashlib, os, threading, time

PIECES, MOST_MOVED, MOST_TAKEN = 200, 0.15, 0.1


class Calibration:
    def __init__(self):
        self.work_ms, self.call_us, wall, cpu = 0.0, 0.0, 0.0, 0.0
        done = []
        threads = [threading.Thread(target=self.measure, args=(processor, done)) for processor in os.sched_getaffinity(0)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for work, call, waited, had in done:  # the slowest processor counts
            self.work_ms, self.call_us = max(self.work_ms, work * 1e3), max(self.call_us, call * 1e6)
            wall, cpu = wall + waited, cpu + had
        self.taken = 1 - cpu / wall

    @staticmethod
    def measure(processor, done):
        os.sched_setaffinity(0, {processor})  # of this thread
        data, work, call = bytes(1 << 19), [], []
        began, had = time.monotonic(), time.thread_time()
        for _ in range(PIECES):  # the lock is let go while it is hashed
            t = time.monotonic()
            hashlib.sha256(data).digest()
            work.append(time.monotonic() - t)
        wall, cpu = time.monotonic() - began, time.thread_time() - had
        for _ in range(20):
            t = time.monotonic()
            for _ in range(500):
                os.getppid()
            call.append((time.monotonic() - t) / 500)
        done.append((min(work), min(call), wall, cpu))

    def __str__(self):
        return (f"512 KiB of SHA-256 {self.work_ms:.3g} ms, a call to the kernel {self.call_us:.2g} us, "
                f"others had {self.taken:.0%} of the processors")

    def doubt(self, before):
        """Why what was measured in between cannot be believed; None: it can."""
        moved = max(self.work_ms / before.work_ms, before.work_ms / self.work_ms) - 1
        if moved > MOST_MOVED:
            return f"the machine's speed moved by {moved:.0%}: {before.work_ms:.3g} ms, now {self.work_ms:.3g}"
        taken = max(self.taken, before.taken)
        return f"other programs had {taken:.0%} of the processors" if taken > MOST_TAKEN else None
