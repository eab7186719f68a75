// The device itself: memory that is counted and runs out, one random stream a GPU, pinned host memory, and the hooks
// through which torch asks for a device. The operations on it are in device.cpp.
#pragma once
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/CallOnce.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace stand_in {

constexpr int MOST_DEVICES = 8;
constexpr int MOST_PROCESSES = 1024;

// What one process did on one physical GPU. Plain 64-bit words, in the order that record.py reads.
struct Use {
  std::atomic<int64_t> bytes, peak, launches, synchronisations;
};

// One process that opened the device. A killed one leaves its figures here.
struct Process {
  std::atomic<int64_t> pid;
  int64_t parent;
  Use use[MOST_DEVICES];
};

// Shared by all processes that name one record folder, as they would share the GPUs.
struct Board {
  std::atomic<int64_t> processes;
  std::atomic<int64_t> peak[MOST_DEVICES];  // of all processes together
  Process process[MOST_PROCESSES];
};

inline bool runs(int64_t pid) {  // a zombie has given its memory back
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  auto end = line.rfind(')');
  return end != std::string::npos && end + 2 < line.size() && line[end + 2] != 'Z' && line[end + 2] != 'X';
}

// The GPUs of this machine, and those of them that this process sees.
class Machine {
 public:
  int64_t memory = 0;  // bytes of each GPU
  int installed = 0;
  std::atomic<int64_t> since_reset[MOST_DEVICES] = {};  // this process's peak since torch was last told to forget it

  // Numbers of the physical GPUs behind cuda:0, cuda:1, …: as in CUDA, fixed by the first question.
  const std::vector<int>& visible() {
    c10::call_once(seen_, [this] {
      const char* named = std::getenv("CUDA_VISIBLE_DEVICES");
      std::string rest = named ? std::string(named) + "," : "";
      if (!named) for (int i = 0; i < installed; i++) visible_.push_back(i);
      for (size_t at; (at = rest.find(',')) != std::string::npos; rest = rest.substr(at + 1)) {
        std::string word = rest.substr(0, at);
        word.erase(0, word.find_first_not_of(' '));
        if (word.rfind("GPU-stand-in-", 0) == 0) word = word.substr(13);
        char* end = nullptr;
        long number = std::strtol(word.c_str(), &end, 10);
        if (end == word.c_str() || number < 0 || number >= installed) break;  // CUDA ignores what follows an invalid one
        visible_.push_back(int(number));
      }
    });
    return visible_;
  }

  // This process's row of the board. Raises in a forked child of a process that has one, as CUDA does.
  Process& own() {
    static c10::once_flag forks;
    c10::call_once(opened_, [this] {
      visible();
      board_ = map();
      mine_ = board_->processes.fetch_add(1);
      TORCH_CHECK(mine_ < MOST_PROCESSES, "stand-in GPU: more than ", MOST_PROCESSES, " processes in one record");
      auto& row = board_->process[mine_];
      row.parent = getppid();
      row.pid = getpid();
      pthread_atfork(nullptr, nullptr, [] { forked() = true; });
    });
    TORCH_CHECK(!forked(), "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method");
    return board_->process[mine_];
  }
  bool opened() const { return board_ != nullptr; }
  static bool& forked() { static bool is = false; return is; }

  // Bytes that all living processes hold of a visible device.
  int64_t held(int device) {
    own();
    int gpu = visible()[device];
    int64_t all = 0;
    for (int i = 0; i < std::min<int64_t>(board_->processes, MOST_PROCESSES); i++) all += board_->process[i].use[gpu].bytes;
    return all;
  }

  // Count bytes taken, or given back where negative. Raises torch's out-of-memory error when they are not there.
  void take(int device, int64_t bytes) {
    auto& use = own().use[visible()[device]];
    if (bytes > 0 && memory && held(device) + bytes > memory) {
      bury();
      int64_t all = held(device);
      TORCH_CHECK_WITH(OutOfMemoryError, all + bytes <= memory, "CUDA out of memory. Tried to allocate ", bytes, " bytes. GPU ", device,
        " has a total capacity of ", memory, " bytes of which ", memory - all, " bytes are free. (stand-in GPU)");
    }
    int64_t now = use.bytes.fetch_add(bytes) + bytes;
    raise(use.peak, now);
    raise(since_reset[visible()[device]], now);
    if (bytes > 0) raise(board_->peak[visible()[device]], held(device));
  }
  void give(int device, int64_t bytes) noexcept {
    if (!forked()) board_->process[mine_].use[visible_[device]].bytes.fetch_sub(bytes);
  }
  void check(int device) {
    TORCH_CHECK(!visible().empty(), "No CUDA GPUs are available");
    TORCH_CHECK(device >= 0 && device < int(visible().size()), "CUDA error: invalid device ordinal");
  }

 private:
  c10::once_flag seen_, opened_;
  std::vector<int> visible_;
  Board* board_ = nullptr;
  int64_t mine_ = 0;

  static void raise(std::atomic<int64_t>& peak, int64_t now) {
    int64_t old = peak.load();
    while (now > old && !peak.compare_exchange_weak(old, now)) {}
  }
  // What dead processes held is free again.
  void bury() {
    for (int i = 0; i < std::min<int64_t>(board_->processes, MOST_PROCESSES); i++) {
      auto& row = board_->process[i];
      if (row.pid && !runs(row.pid)) for (auto& use : row.use) use.bytes = 0;
    }
  }
  Board* map() {
    const char* folder = std::getenv("BAKEOFF_STAND_IN_GPU_RECORD");
    int file = -1;
    if (folder) {
      file = ::open((std::string(folder) + "/board").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      TORCH_CHECK(file >= 0 && ftruncate(file, sizeof(Board)) == 0, "stand-in GPU: cannot write into ", folder);
    }
    void* at = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, folder ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
    TORCH_CHECK(at != MAP_FAILED, "stand-in GPU: cannot map its record");
    if (file >= 0) ::close(file);
    board_ = static_cast<Board*>(at);
    bury();
    return board_;
  }
};

inline Machine& machine() { static auto* one = new Machine; return *one; }  // outlives whatever is freed at exit
inline int& current() { thread_local int device = 0; return device; }

// Sets the current device for as long as it lives.
struct On {
  int before = current();
  explicit On(int device) { if (device >= 0) current() = device; }
  ~On() { current() = before; }
};

// Device memory is host memory, counted. A result of a CPU kernel becomes a block that keeps that result alive.
struct Block {
  c10::Storage kept;
  void* own;
  int64_t bytes;
  int device;
};
inline void drop(void* pointer) {
  auto* block = static_cast<Block*>(pointer);
  machine().give(block->device, block->bytes);
  std::free(block->own);
  delete block;
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    machine().check(current());
    machine().take(current(), int64_t(bytes));
    void* pointer = nullptr;
    if (bytes && posix_memalign(&pointer, 64, bytes)) throw std::bad_alloc();
    return {pointer, new Block{c10::Storage(), pointer, int64_t(bytes), current()}, &drop, c10::Device(c10::DeviceType::CUDA, current())};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &drop; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};
inline Memory& memory() { static auto* one = new Memory; return *one; }

// Page-locked host memory: torch must be able to tell it from other memory.
struct Pinned final : c10::Allocator {
  static std::mutex& lock() { static auto* one = new std::mutex; return *one; }
  static std::map<const char*, size_t>& blocks() { static auto* all = new std::map<const char*, size_t>; return *all; }
  c10::DataPtr allocate(size_t bytes) override {
    void* pointer = nullptr;
    if (bytes && posix_memalign(&pointer, 64, bytes)) throw std::bad_alloc();
    std::lock_guard<std::mutex> held(lock());
    if (pointer) blocks()[static_cast<char*>(pointer)] = bytes;
    return {pointer, pointer, &release, c10::Device(c10::DeviceType::CPU)};
  }
  static void release(void* pointer) {
    std::lock_guard<std::mutex> held(lock());
    blocks().erase(static_cast<char*>(pointer));
    std::free(pointer);
  }
  static bool has(const void* pointer) {
    std::lock_guard<std::mutex> held(lock());
    auto after = blocks().upper_bound(static_cast<const char*>(pointer));
    if (after == blocks().begin()) return false;
    --after;
    return static_cast<const char*>(pointer) < after->first + after->second;
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};

// A GPU's random stream: not the CPU's, and other numbers than the CPU draws from the same seed.
struct Stream final : c10::GeneratorImpl {
  at::Generator host;
  uint64_t given;
  explicit Stream(int device, uint64_t seed = c10::default_rng_seed_val)
      : c10::GeneratorImpl(c10::Device(c10::DeviceType::CUDA, device), c10::DispatchKeySet(c10::DispatchKey::CUDA)),
        host(at::detail::createCPUGenerator(seed ^ OTHER)), given(seed) {}
  void set_current_seed(uint64_t seed) override { given = seed; host.set_current_seed(seed ^ OTHER); }
  uint64_t current_seed() const override { return given; }
  uint64_t seed() override { auto drawn = c10::detail::getNonDeterministicRandom(true); set_current_seed(drawn); return drawn; }
  void set_offset(uint64_t) override { TORCH_CHECK(false, "the stand-in GPU's generator has no offset"); }
  uint64_t get_offset() const override { TORCH_CHECK(false, "the stand-in GPU's generator has no offset"); }
  void set_state(const c10::TensorImpl& state) override { host.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return host.unsafeGetGeneratorImpl()->get_state(); }
  Stream* clone_impl() const override {
    auto* copy = new Stream(device().index(), given);
    copy->host = host.clone();
    return copy;
  }
 private:
  static constexpr uint64_t OTHER = 0x5DEECE66D;
};
inline at::Generator& stream(int device) {
  static std::vector<at::Generator> all = [] {
    std::vector<at::Generator> made;
    for (int i = 0; i < MOST_DEVICES; i++) made.push_back(at::make_generator<Stream>(i));
    return made;
  }();
  return all.at(device < 0 ? current() : device);
}

// Whether torch.Generator(device) is to be the device's own stream instead of a new one: how Python gets hold of it.
inline bool& hand_out_own() { static bool is = false; return is; }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::CUDA; }
  c10::Device getDevice() const override { return {c10::DeviceType::CUDA, c10::DeviceIndex(current())}; }
  void setDevice(c10::Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { if (device.index() >= 0) current() = device.index(); }
  c10::Device exchangeDevice(c10::Device device) const override { auto old = getDevice(); setDevice(device); return old; }
  c10::DeviceIndex deviceCount() const noexcept override { return machine().visible().size(); }
  // Everything is done when it is asked for: one stream, and every event has happened.
  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getNewStream(c10::Device device, int = 0) const override { return getStream(device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override { *event = (void*)1; }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override { machine().own(); }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return !machine().visible().empty(); }
  bool hasCUDA() const override { return isAvailable(); }
  bool hasCUDART() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return machine().opened(); }
  c10::DeviceIndex current_device() const override { return current(); }
  c10::DeviceIndex deviceCount() const override { return machine().visible().size(); }
  int getNumGPUs() const override { return machine().visible().size(); }
  void setCurrentDevice(c10::DeviceIndex device) const override { current() = device; }
  c10::DeviceIndex getCurrentDevice() const override { return current(); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override { auto old = current(); current() = device; return old; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override { auto old = current(); if (device >= 0) current() = device; return old; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex device) const override { return stream(device); }
  at::Generator getNewGenerator(c10::DeviceIndex device) const override {
    return hand_out_own() ? stream(device) : at::make_generator<Stream>(device < 0 ? current() : device);
  }
  bool isPinnedPtr(const void* pointer) const override { return Pinned::has(pointer); }
  at::Allocator* getPinnedMemoryAllocator() const override { static Pinned one; return &one; }
  at::Device getDeviceFromPtr(void*) const override { return {c10::DeviceType::CUDA, c10::DeviceIndex(current())}; }
  void deviceSynchronize(c10::DeviceIndex) const override {}
};

}  // namespace stand_in
