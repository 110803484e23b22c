#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/open.h"
#include "ops/error.h"

namespace flow::bench {

/// The command-line options of a program, "--name value" or "--name". An unknown option or a wrong value ends the
/// program with its usage.
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

  /// Returns the arguments that are not options, in order.
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

/// The engine that "cpu", "cuda" or "cuda:N" names, and a precision of "fp32", "fp16" or "bf16"; the CPU's is fp32.
class NamedEngine {
 public:
  NamedEngine(std::string_view name, const Options& options) : name_(name) {
    choice_.instruction_set = instruction_set_of_environment();
    choice_.device = name == "cpu" ? EngineChoice::Device::cpu : EngineChoice::Device::cuda;
    if (name.starts_with("cuda:")) {
      choice_.cuda_index = options.to_int(name.substr(5), 0);
    } else if (name != "cpu" && name != "cuda") {
      options.fail();
    }
  }

  const std::string& name() const { return name_; }
  bool is_cuda() const { return choice_.device == EngineChoice::Device::cuda; }

  /// The precision that `text` names; if it is empty, all that the engine has.
  std::vector<Precision> precisions(const std::string& text, const Options& options) const {
    std::vector<Precision> all;
    for (const Precision precision : {Precision::fp16, Precision::bf16, Precision::fp32}) {
      if (text == name_of(precision) || (text.empty() && opens_in(precision))) all.push_back(precision);
    }
    if (all.empty()) options.fail();
    return all;
  }

  /// `threads` 0 is one per physical core. Throws Error(device) if there is no such device.
  OpenEngine open(Precision precision, int threads = 0) const {
    EngineChoice choice = choice_;
    choice.precision = precision;
    choice.threads = threads;
    return open_engine(choice);
  }
  /// The name of the GPU, or "CPU". Throws Error(device) if there is no such GPU.
  std::string device() const { return is_cuda() ? open(Precision::fp32).engine->describe().gpu->name : "CPU"; }

 private:
  bool opens_in(Precision precision) const {
    if (precision == Precision::fp32) return true;  // without a device, the caller's own `open` throws
    try {
      open(precision);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  std::string name_;
  EngineChoice choice_;
};

}  // namespace flow::bench
