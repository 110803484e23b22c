#pragma once

// Tests of stages on every engine: on the CPU with every instruction set of this machine, on one thread and on three;
// on a GPU or its emulation in every precision.

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/cpu_ops.h"
#include "cuda/cuda_engine.h"
#include "cuda/cuda_ops.h"
#include "cuda_for_tests.h"
#include "reference.h"

namespace flow {

using reference::Values;

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  Values values(std::size_t n, float spread = 1) {
    std::uniform_real_distribution<float> uniform(-spread, spread);
    Values v(n);
    for (float& x : v) x = uniform(generator_);
    return v;
  }

 private:
  std::mt19937 generator_;
};

/// An engine, and matrices in its memory. Their padding is zero, as in the model.
class Bench {
 public:
  /// `least` is the smallest error bound that the precision of the engine's operands allows.
  Bench(std::unique_ptr<Ops> engine, double least) : ops(*engine), engine_(std::move(engine)), least_(least) {}

  template <class Kind>
  Matrix<Kind> matrix(int rows, int cols) {
    const int stride = ops.stride(cols);
    memory_.push_back(ops.allocate(sizeof(float) * static_cast<std::size_t>(rows) * stride));
    return {memory_.back()->data(), rows, cols, stride};
  }
  template <class Kind>
  Matrix<Kind> matrix(int rows, int cols, const Values& values) {
    const auto m = matrix<Kind>(rows, cols);
    ops.write(values, m);
    return m;
  }
  /// Memory for a residual stream, as the model has it.
  Residual residual(int rows, int cols) {
    Residual r{matrix<Real>(rows, cols), {}, {}};
    const int columns = ops.moment_columns(cols);
    if (columns == 0) return r;
    const bool rounds = ops.operand_bytes() != sizeof(float);
    r.operands = rounds ? matrix<Operand>(rows, cols) : OperandMatrix{r.x.data, rows, cols, r.x.stride};
    r.moments = matrix<Real>(rows, columns);
    return r;
  }
  /// The same with `values`, to which a product adds 0.
  Residual residual(int rows, int cols, const Values& values) {
    const Residual r = residual(rows, cols);
    ops.write(values, r.x);
    const Values zeros(static_cast<std::size_t>(std::max(rows, cols)));
    ops.linear_add(matrix<Operand>(rows, 1, {zeros.begin(), zeros.begin() + rows}),
                   *ops.pack_linear({1, cols, std::span(zeros).first(static_cast<std::size_t>(cols))}), r);
    return r;
  }
  /// Without padding.
  RealMatrix tight(int rows, int cols) {
    memory_.push_back(ops.allocate(sizeof(float) * static_cast<std::size_t>(rows) * cols));
    return {memory_.back()->data(), rows, cols, cols};
  }
  OperandMatrix block(std::size_t elements) {
    memory_.push_back(ops.allocate(sizeof(float) * elements));
    return {memory_.back()->data(), 1, 0, 0};
  }
  template <class Kind>
  Values read(Matrix<Kind> m) {
    Values v(static_cast<std::size_t>(m.rows) * m.cols);
    ops.read(m, v);
    return v;
  }
  /// The error bound of a stage on this engine. `bound` is its bound in float32.
  double within(double bound) const { return std::max(bound, least_); }

  Ops& ops;

 private:
  std::unique_ptr<Ops> engine_;
  double least_;
  std::vector<std::unique_ptr<Memory>> memory_;
};

struct TestedEngine {
  std::string name;
  std::function<Bench()> make;
  bool only_operands_differ = false;  // from an engine before
};

inline std::vector<TestedEngine> engines() {
  std::vector<TestedEngine> all;
  for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
    for (const int threads : {1, 3}) {
      all.push_back({std::string(kernels->name) + ", " + std::to_string(threads) + " threads",
                     [=] { return Bench(std::make_unique<cpu::CpuOps>(threads, *kernels), 0); }});
    }
  }
  if (!cuda_is_here()) {
    all.push_back({"cuda", []() -> Bench {
                     need_cuda();
                     check::fail("a GPU came late");
                   }});
  } else {
    for (const auto& [precision, least] :
         {std::pair{Precision::fp32, 1e-5}, {Precision::fp16, 2e-3}, {Precision::bf16, 1.5e-2}}) {
      const std::string name = std::string("cuda ") + cuda::suffix_of(precision);
      if (!cuda::kernels_have(precision, kernels_capability())) {
        all.push_back({name, []() -> Bench { check::skip("this GPU's kernels lack the precision"); }, true});
        continue;
      }
      all.push_back(
          {name, [=] { return Bench(cuda::CudaEngine(0, precision).open(), least); }, precision != Precision::fp32});
      if (precision != Precision::fp16) continue;  // one is enough; fp32 has one tile only
      // These tiles are too large for the shapes here: choose_gemm_tile would not choose them.
      for (const auto* tile = std::begin(kernels::gemm_tiles); tile != std::end(kernels::gemm_tiles) - 1; ++tile) {
        if (kernels::is_wide(*tile) && kernels_capability() < 80) continue;  // which have none
        const auto* const block =
            std::min(std::begin(kernels::attention_blocks) + (tile - std::begin(kernels::gemm_tiles)),
                     std::end(kernels::attention_blocks) - 1);
        all.push_back({name + ", tile " + std::to_string(tile->rows) + " x " + std::to_string(tile->cols) + ", " +
                           std::to_string(block->queries) + " queries",
                       [=] {
                         auto ops = std::make_unique<cuda::CudaOps>(cuda::Context::of(0), precision);
                         ops->use_gemm_tile(*tile);
                         ops->use_attention_queries(block->queries);
                         return Bench(std::move(ops), least);
                       },
                       true});
      }
    }
  }
  return all;
}

/// Registers a test for every engine.
struct OnEveryEngine {
  using Body = std::function<void(Bench&, Random&)>;

  OnEveryEngine(const std::string& promise, const Body& body) : OnEveryEngine(promise, body, true) {}

 protected:
  OnEveryEngine(const std::string& promise, const Body& body, bool has_operands) {
    static const std::vector<TestedEngine> all = engines();
    for (const TestedEngine& engine : all) {
      if (engine.only_operands_differ && !has_operands) continue;
      const std::string name = !has_operands && engine.name.starts_with("cuda") ? "cuda" : engine.name;
      check::tests().push_back({promise + " [" + name + "]", [=] {
                                  Bench bench = engine.make();
                                  Random random(7);
                                  body(bench, random);
                                }});
    }
  }
};

/// As OnEveryEngine, for stages without operands: a GPU has the same kernels for them in every precision.
struct WithoutOperands : OnEveryEngine {
  WithoutOperands(const std::string& promise, const Body& body) : OnEveryEngine(promise, body, false) {}
};

}  // namespace flow
