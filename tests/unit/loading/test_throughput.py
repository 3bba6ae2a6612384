import pytest

from fiftyone_coco_audit.loading.throughput import Throughput


def test_computing_grows_with_workers_up_to_the_cores():
    costs = Throughput(computing=0.01, waiting=0.0, cores=4)
    assert [costs.samples_per_second(k) for k in (1, 2, 4, 8)] == pytest.approx(
        [100, 200, 400, 400]
    )
    assert costs.enough_workers() == 4


def test_waiting_is_filled_by_more_workers_than_cores():
    costs = Throughput(computing=0.01, waiting=0.005, cores=2)
    # One: 1 / 0.015; three: 3 / 0.015, which is what two cores and what the disk give
    assert costs.samples_per_second(1) == pytest.approx(1 / 0.015)
    assert costs.samples_per_second(3) == pytest.approx(200)
    assert costs.samples_per_second(8) == pytest.approx(200)
    assert costs.enough_workers() == 3


def test_the_disk_is_a_bound_of_its_own():
    costs = Throughput(computing=0.001, waiting=0.01, cores=8, efficiency=0.5)
    assert costs.samples_per_second(8) == pytest.approx(50)
    assert costs.enough_workers() == 2


def test_nothing_measured():
    costs = Throughput(0.0, 0.0, 2)
    assert costs.samples_per_second(4) == 0
    assert costs.enough_workers() == 1
