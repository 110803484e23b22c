#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/cpu_ops.h"
#include "cuda/cuda_ops.h"

namespace flow::bench {

/// Options of a program, "--name value" or "--name". Anything else than they say ends it with its usage.
class Options {
 public:
  explicit Options(std::string usage) : usage_(std::move(usage)) {}

  /// An integer of at least 1.
  Options& number(const std::string& name, int& value) {
    numbers_[name] = &value;
    return *this;
  }
  Options& text(const std::string& name, std::string& value) {
    texts_[name] = &value;
    return *this;
  }
  Options& flag(const std::string& name, bool& value) {
    flags_[name] = &value;
    return *this;
  }

  /// What is no option, in its order.
  std::vector<std::string> parse(int argc, char** argv) const {
    std::vector<std::string> others;
    for (int i = 1; i < argc; i++) {
      const std::string name = argv[i];
      if (!name.starts_with("--")) {
        others.push_back(name);
      } else if (const auto flag = flags_.find(name); flag != flags_.end()) {
        *flag->second = true;
      } else if (i + 1 == argc) {
        fail();
      } else if (const auto text = texts_.find(name); text != texts_.end()) {
        *text->second = argv[++i];
      } else if (const auto number = numbers_.find(name); number != numbers_.end()) {
        *number->second = to_int(argv[++i], 1);
      } else {
        fail();
      }
    }
    return others;
  }

  [[noreturn]] void fail() const {
    std::fprintf(stderr, "usage: %s\n", usage_.c_str());
    std::exit(2);
  }

  int to_int(std::string_view text, int least) const {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least) fail();
    return value;
  }

 private:
  std::string usage_;
  std::map<std::string, int*> numbers_;
  std::map<std::string, std::string*> texts_;
  std::map<std::string, bool*> flags_;
};

constexpr struct {
  cuda::Precision precision;
  const char* name;
} precisions[] = {{cuda::Precision::fp16, "fp16"}, {cuda::Precision::bf16, "bf16"}, {cuda::Precision::fp32, "fp32"}};

/// The engine that "cpu", "cuda" or "cuda:N" names, and a precision of "fp32", "fp16" or "bf16"; the CPU's is fp32.
class EngineChoice {
 public:
  EngineChoice(std::string_view engine, const Options& options) {
    if (engine == "cpu") {
      cuda_ = false;
    } else if (engine.starts_with("cuda:")) {
      index_ = options.to_int(engine.substr(5), 0);
    } else if (engine != "cuda") {
      options.fail();
    }
  }

  bool is_cuda() const { return cuda_; }
  std::string name() const { return cuda_ ? "cuda:" + std::to_string(index_) : "cpu"; }
  /// Which precisions `text` asks for: all that the engine has where it is empty.
  std::vector<std::string> precisions_of(const std::string& text, const Options& options) const {
    std::vector<std::string> all;
    for (const auto& p : precisions) {
      const bool asked = text == p.name && (cuda_ || p.precision == cuda::Precision::fp32);
      if (text.empty() ? has(p.precision) : asked) all.emplace_back(p.name);
    }
    if (all.empty()) options.fail();
    return all;
  }

  std::unique_ptr<cuda::CudaOps> make_cuda(std::string_view precision) const {
    for (const auto& p : precisions) {
      if (precision == p.name) return std::make_unique<cuda::CudaOps>(index_, p.precision);
    }
    return nullptr;
  }
  std::unique_ptr<Ops> make(std::string_view precision, int threads = cpu::physical_cores()) const {
    if (cuda_) return make_cuda(precision);
    return std::make_unique<cpu::CpuOps>(threads);
  }
  /// What the GPU calls itself; throws Error(device) where there is none.
  std::string device() const { return cuda_ ? cuda::Context::of(index_)->device().name : "CPU"; }

 private:
  bool has(cuda::Precision precision) const {
    if (!cuda_) return precision == cuda::Precision::fp32;
    return cuda::has_precision(cuda::Context::of(index_)->device().capability_major, precision);
  }

  bool cuda_ = true;
  int index_ = 0;
};

}  // namespace flow::bench
