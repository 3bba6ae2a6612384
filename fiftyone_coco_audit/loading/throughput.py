"""Estimates the speed of several workers from the time of one sample."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Throughput:
    """The time of one sample, and an estimate for any number of workers.

    Args:
        computing: seconds of a core for a sample
        waiting: seconds for a sample in which its worker waits, as for the disk
        cores: the number of cores
        efficiency: what part of their time the workers worked, when it was measured
    """

    computing: float
    waiting: float
    cores: int
    efficiency: float = 1.0

    def samples_per_second(self, workers: int) -> float:
        """An estimate for a number of workers.

        Each worker needs ``computing + waiting`` a sample; all of them together cannot
        compute more than ``cores`` seconds a second, nor can the disk, which is taken
        not to serve several at once, be waited for more than one second a second. The
        least of the three bounds is multiplied by the efficiency that was measured.
        As the disk may serve several at once, it is rather too low where much is
        waited for; and files that were read before come from memory.

        Args:
            workers: the number of workers

        Returns:
            samples per second; 0 where nothing was measured
        """
        bounds = [
            count / cost
            for count, cost in (
                (workers, self.computing + self.waiting),
                (self.cores, self.computing),
                (1, self.waiting),
            )
            if cost > 0
        ]
        return self.efficiency * min(bounds) if bounds else 0.0

    def enough_workers(self) -> int:
        """The number of workers beyond which more would not be faster."""
        best = self.samples_per_second(self.cores * 64)
        workers = 1
        while self.samples_per_second(workers) < 0.98 * best:
            workers += 1
        return workers
