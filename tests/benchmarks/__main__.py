"""All benchmarks, one after another: `make bench`. Each prints ratios taken in one run on one machine; none asserts a speed."""

from tests.benchmarks import (
    bench_activations,
    bench_bits,
    bench_cluster,
    bench_duplicates,
    bench_energy,
    bench_judgement,
    bench_kills,
    bench_kl,
    bench_large_study,
    bench_latency,
    bench_layers,
    bench_predictor,
    bench_quantization,
    bench_racing,
    bench_report,
    bench_runtime,
    bench_size,
    bench_solver,
    bench_sparsity,
    bench_structure,
    bench_widths,
)

BENCHMARKS = (
    bench_solver,
    bench_kl,
    bench_size,
    bench_runtime,
    bench_quantization,
    bench_activations,
    bench_bits,
    bench_layers,
    bench_sparsity,
    bench_widths,
    bench_energy,
    bench_judgement,
    bench_predictor,
    bench_structure,
    bench_kills,
    bench_duplicates,
    bench_large_study,
    bench_racing,
    bench_report,
    bench_latency,
    bench_cluster,
)

for benchmark in BENCHMARKS:
    print(f"== {benchmark.__name__.rpartition('.')[2]}: {(benchmark.__doc__ or '').splitlines()[0]}", flush=True)
    benchmark.main()
