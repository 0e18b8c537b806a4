"""All benchmarks, one after another: `make bench`. Each prints ratios taken in one run on one machine; none asserts a speed."""

from tests.benchmarks import bench_quantization, bench_runtime, bench_solver

for benchmark in (bench_solver, bench_runtime, bench_quantization):
    print(f"== {benchmark.__name__.rpartition('.')[2]}: {(benchmark.__doc__ or '').splitlines()[0]}", flush=True)
    benchmark.main()
