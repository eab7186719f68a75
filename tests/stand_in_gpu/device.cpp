// A CUDA device in host memory, for CPU builds of torch. Every operation that torch sends to a GPU is answered by the CPU's
// kernel on an alias of the same memory; what a GPU would refuse (tensors of several devices, another device's generator,
// products of integers, more memory than there is) is refused; launches, host synchronisations and bytes are counted.
#include "device.h"
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>
#include <set>
#include <unordered_map>

namespace stand_in {
namespace {

C10_REGISTER_GUARD_IMPL(CUDA, Guard);
using CUDAHooks = Hooks;
using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks);

using Names = std::set<std::string>;
const Names BETWEEN_DEVICES = {"aten::copy_", "aten::_copy_from", "aten::set_"};
const Names INDICES_ANYWHERE = {"aten::index", "aten::_unsafe_index", "aten::index_put_", "aten::index_put",
  "aten::_index_put_impl_", "aten::_unsafe_index_put"};
const Names WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::unique_dim",
  "aten::_unique2", "aten::is_nonzero"};
const Names NO_LAUNCH = {"aten::as_strided", "aten::view", "aten::_reshape_alias", "aten::unfold", "aten::view_as_real",
  "aten::set_", "aten::resize_"};
const Names PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::addbmm", "aten::mv", "aten::addmv",
  "aten::dot", "aten::vdot", "aten::addmv_", "aten::addmm_", "aten::baddbmm_"};

std::mutex counted;
std::map<std::string, int64_t> launched, waited;

// One operation: which device it runs on, and which CPU tensor stands for which device tensor meanwhile.
class Call {
 public:
  explicit Call(const std::string& name) : name_(name) {}

  // Note a tensor's device. Raises where a GPU would: all on one device, but for a CPU's single numbers.
  void see(const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    if (tensor.is_cuda()) {
      if (device_ < 0) device_ = tensor.get_device();
      else if (device_ != tensor.get_device() && !BETWEEN_DEVICES.count(name_))
        refuse("cuda:" + std::to_string(device_) + " and cuda:" + std::to_string(int(tensor.get_device())));
      if (PRODUCTS.count(name_)) TORCH_CHECK(!at::isIntegralType(tensor.scalar_type(), true), '"', name_,
        "\" not implemented on CUDA for '", tensor.scalar_type(), "' (stand-in GPU)");
    } else if (tensor.is_cpu() && tensor.dim() > 0) {
      host_ = true;
    }
  }
  void see_device(c10::Device device) { if (device_ < 0 && device.is_cuda()) device_ = device.index() < 0 ? current() : device.index(); }
  void settle_device() {
    if (host_ && !BETWEEN_DEVICES.count(name_)) refuse("cpu and cuda:" + std::to_string(std::max(0, device_)));
    if (device_ < 0) device_ = current();
    machine().check(device_);
  }
  int device() const { return device_; }

  at::Tensor to_host(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_cuda()) return tensor;
    const auto& storage = tensor.storage();
    auto found = host_of_.find(storage.unsafeGetStorageImpl());
    if (found == host_of_.end()) {
      c10::Storage alias(c10::Storage::use_byte_size_t(), storage.nbytes(),
        c10::DataPtr(const_cast<void*>(storage.data()), c10::Device(c10::DeviceType::CPU)), c10::GetCPUAllocator(), true);
      device_of_[alias.unsafeGetStorageImpl()] = storage;
      found = host_of_.emplace(storage.unsafeGetStorageImpl(), alias).first;
    }
    auto alias = like(tensor, found->second, c10::DispatchKeySet(c10::DispatchKey::CPU));
    if (tensor.is_conj()) alias._set_conj(true);
    pairs_.emplace_back(tensor, alias);
    return alias;
  }
  at::Tensor to_device(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_cpu()) return tensor;
    for (auto& [own, alias] : pairs_)  // a view of an argument
      if (alias.storage().unsafeGetStorageImpl() == tensor.storage().unsafeGetStorageImpl() && own.storage().data() == tensor.storage().data()) {
        auto out = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(own.storage()), own.key_set(), tensor.dtype());
        out.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
        return out;
      }
    return like(tensor, storage_of(tensor), c10::DispatchKeySet(c10::DispatchKey::CUDA));
  }
  // What the kernel made of its arguments: out=, resize_.
  void settle() {
    for (auto& [own, alias] : pairs_) {
      bool moved = alias.storage().data() != own.storage().data();
      if (moved) own.unsafeGetTensorImpl()->set_storage_keep_dtype(storage_of(alias));
      if (moved || alias.sizes() != own.sizes() || alias.strides() != own.strides() || alias.storage_offset() != own.storage_offset())
        own.unsafeGetTensorImpl()->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
    }
  }

 private:
  const std::string& name_;
  int device_ = -1;
  bool host_ = false;
  std::unordered_map<c10::StorageImpl*, c10::Storage> host_of_, device_of_;
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;  // (on the device, its alias)

  [[noreturn]] void refuse(const std::string& devices) {
    TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, ", devices, "! (stand-in GPU, in ", name_, ")");
  }
  static at::Tensor like(const at::Tensor& tensor, const c10::Storage& storage, c10::DispatchKeySet keys) {
    auto out = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), keys, tensor.dtype());
    out.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
    return out;
  }
  c10::Storage storage_of(const at::Tensor& tensor) {
    auto* made = tensor.storage().unsafeGetStorageImpl();
    auto found = device_of_.find(made);
    if (found != device_of_.end() && found->second.data() == tensor.storage().data()) return found->second;
    auto bytes = int64_t(tensor.storage().nbytes());
    machine().take(device_, bytes);
    c10::Storage storage(c10::Storage::use_byte_size_t(), bytes,
      c10::DataPtr(const_cast<void*>(tensor.storage().data()), new Block{tensor.storage(), nullptr, bytes, device_}, &drop,
        c10::Device(c10::DeviceType::CUDA, device_)), &memory(), true);
    device_of_[made] = storage;
    return storage;
  }
};

// While it lives, the CPU's random numbers come from a GPU's stream: kernels that take no generator draw from it too.
class Drawing {
 public:
  explicit Drawing(int device) : stream_(static_cast<Stream*>(stream(device).unsafeGetGeneratorImpl())->host), held_(lock()) { swap(); }
  ~Drawing() { swap(); }
 private:
  at::Generator stream_;
  std::lock_guard<std::recursive_mutex> held_;
  static std::recursive_mutex& lock() { static std::recursive_mutex one; return one; }
  void swap() {
    auto* cpu = at::detail::getDefaultCPUGenerator().get<at::CPUGeneratorImpl>();
    auto* gpu = stream_.get<at::CPUGeneratorImpl>();
    std::scoped_lock both(cpu->mutex_, gpu->mutex_);
    auto engine = cpu->engine(); auto one = cpu->next_float_normal_sample(); auto two = cpu->next_double_normal_sample();
    cpu->set_engine(gpu->engine()); cpu->set_next_float_normal_sample(gpu->next_float_normal_sample()); cpu->set_next_double_normal_sample(gpu->next_double_normal_sample());
    gpu->set_engine(engine); gpu->set_next_float_normal_sample(one); gpu->set_next_double_normal_sample(two);
  }
};

template <class Each> void tensors_of(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& values, Each each) {
  bool anywhere = INDICES_ANYWHERE.count(schema.name());
  for (size_t i = 0; i < values.size(); i++) {
    const auto& value = values[i];
    bool indices = anywhere && schema.arguments()[i].name() == "indices";
    auto note = [&](const at::Tensor& tensor) { if (!(indices && tensor.defined() && tensor.is_cpu())) each(tensor); };
    if (value.isTensor()) note(value.toTensor());
    else if (value.isTensorList()) for (const auto& tensor : value.toTensorVector()) note(tensor);
    else if (value.isOptionalTensorList()) for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) if (tensor) note(*tensor);
  }
}

void count(const std::string& name, const std::vector<c10::IValue>& values, int device) {
  bool waits = WAITS.count(name), launches = !NO_LAUNCH.count(name);
  std::string waited_for = name;
  if (name == "aten::copy_") {
    bool to = values[0].toTensor().is_cpu(), from = values[1].toTensor().is_cpu() && !at::globalContext().isPinnedPtr(values[1].toTensor().const_data_ptr());
    waits = to || from;
    waited_for = to ? "copy to host" : "copy from host";
  }
  auto& use = machine().own().use[machine().visible()[device]];
  use.launches += launches;
  use.synchronisations += waits;
  std::lock_guard<std::mutex> held(counted);
  if (launches) launched[name]++;
  if (waits) waited[waited_for]++;
}

c10::IValue on_host(const c10::IValue& value, Call& call) {
  if (value.isTensor()) return call.to_host(value.toTensor());
  if (value.isTensorList()) {
    std::vector<at::Tensor> list;
    for (const auto& tensor : value.toTensorVector()) list.push_back(call.to_host(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) list.push_back(tensor ? std::optional(call.to_host(*tensor)) : std::nullopt);
    return list;
  }
  if (value.isDevice() && value.toDevice().is_cuda()) return c10::Device(c10::DeviceType::CPU);
  if (value.isGenerator()) {
    auto generator = value.toGenerator();
    TORCH_CHECK(generator.device().is_cuda(), "Expected a 'cuda' device type for generator but found '", generator.device().type(), "'");
    return static_cast<Stream*>(generator.unsafeGetGeneratorImpl())->host;
  }
  return value;
}

// What an operation gives back: the argument itself where it was written into, else the kernel's result on the device.
c10::IValue returned(const c10::FunctionSchema& schema, size_t place, const c10::IValue& made, const std::vector<c10::IValue>& values, Call& call) {
  const auto* alias = schema.returns()[place].alias_info();
  if (alias && alias->isWrite())
    for (size_t i = 0; i < values.size(); i++) {
      const auto* own = schema.arguments()[i].alias_info();
      if (own && own->isWrite() && (own->afterSets() == alias->afterSets() || *own == *alias)) return values[i];
    }
  if (made.isTensor()) return call.to_device(made.toTensor());
  if (made.isTensorList()) {
    std::vector<at::Tensor> list;
    for (const auto& tensor : made.toTensorVector()) list.push_back(call.to_device(tensor));
    return list;
  }
  return made;
}

void run(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto& schema = operation.schema();
  const auto& name = schema.name();
  std::vector<c10::IValue> values(stack->end() - schema.arguments().size(), stack->end());
  Call call(name);
  tensors_of(schema, values, [&](const at::Tensor& tensor) { call.see(tensor); });
  bool given = false;
  for (const auto& value : values) {
    if (value.isDevice()) call.see_device(value.toDevice());
    given |= value.isGenerator();
  }
  call.settle_device();
  On device(call.device());
  count(name, values, call.device());
  torch::jit::Stack own;
  for (const auto& value : values) own.push_back(on_host(value, call));
  {
    std::optional<Drawing> drawing;
    if (!given && operation.hasTag(at::Tag::nondeterministic_seeded)) drawing.emplace(call.device());
    at::AutoDispatchBelowADInplaceOrView below;
    operation.callBoxed(&own);
  }
  call.settle();
  stack->resize(stack->size() - values.size());
  for (size_t i = 0; i < schema.returns().size(); i++)
    stack->push_back(returned(schema, i, own[own.size() - schema.returns().size() + i], values, call));
}

using Size = c10::IntArrayRef;
using Type = std::optional<at::ScalarType>;
using Place = std::optional<at::Device>;
using Layout = std::optional<at::Layout>;

at::Tensor empty(Size size, Type type, Layout, Place device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  On it(device ? device->index() : -1);
  return at::detail::empty_generic(size, &memory(), c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::dtype_or_default(type), format);
}
at::Tensor empty_strided(Size size, Size stride, Type type, Layout, Place device, std::optional<bool>) {
  On it(device ? device->index() : -1);
  return at::detail::empty_strided_generic(size, stride, &memory(), c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::dtype_or_default(type));
}
at::Tensor& set_storage(at::Tensor& self, at::Storage source, int64_t offset, Size size, Size stride) {
  std::vector<int64_t> steps(stride.begin(), stride.end());
  if (steps.empty()) {
    steps.resize(size.size());
    int64_t step = 1;
    for (int i = int(size.size()) - 1; i >= 0; i--) { steps[i] = step; step *= size[i]; }
  }
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(source);
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, steps, offset);
  return self;
}
at::Tensor& set_whole(at::Tensor& self, at::Storage source) {
  int64_t count = source.nbytes() / self.dtype().itemsize();
  return set_storage(self, source, 0, {count}, {1});
}
at::Tensor& set_tensor(at::Tensor& self, const at::Tensor& source) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(source.storage());
  self.unsafeGetTensorImpl()->set_sizes_and_strides(source.sizes(), source.strides(), source.storage_offset());
  return self;
}
// CUDA alone has this one: a product of small numbers, summed into large ones.
at::Tensor& addmm_dtype(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, at::ScalarType type, const at::Scalar& beta, const at::Scalar& alpha, at::Tensor& out) {
  return out.copy_(at::addmm(self.to(type), a.to(type), b.to(type), beta, alpha));
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run>()); }
TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("addmm.dtype_out", addmm_dtype);
  for (const char* name : {"copy_", "_local_scalar_dense", "equal"}) m.impl(name, torch::CppFunction::makeFromBoxedFunction<&run>());
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("set_.source_Storage", set_whole);
}
[[maybe_unused]] const bool installed = [] { c10::SetAllocator(c10::DeviceType::CUDA, &memory(), 255); return true; }();

std::string written(const std::map<std::string, int64_t>& counts) {
  std::string out;
  for (auto& [name, number] : counts) out += (out.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(number);
  return "{" + out + "}";
}
}  // namespace
}  // namespace stand_in

// What device.py calls. `gpu` is a visible device's number.
extern "C" {
using stand_in::machine;
void stand_in_install(int gpus, long memory) { machine().installed = gpus; machine().memory = memory; }
int stand_in_visible() { return int(machine().visible().size()); }
int stand_in_physical(int gpu) { return machine().visible().at(gpu); }
void stand_in_open() { machine().own(); }
int stand_in_current() { return stand_in::current(); }
void stand_in_choose(int gpu) { stand_in::current() = gpu; }
long stand_in_bytes(int gpu) { return machine().opened() ? machine().own().use[machine().visible().at(gpu)].bytes.load() : 0; }
long stand_in_peak(int gpu) { return machine().opened() ? machine().since_reset[machine().visible().at(gpu)].load() : 0; }
void stand_in_reset_peak(int gpu) { machine().since_reset[machine().visible().at(gpu)] = stand_in_bytes(gpu); }
void stand_in_hand_out_own(int yes) { stand_in::hand_out_own() = yes != 0; }
long stand_in_held(int gpu) { return machine().held(gpu); }
const char* stand_in_counts() {
  static std::string out;
  std::lock_guard<std::mutex> held(stand_in::counted);
  out = "{\"launches\": " + stand_in::written(stand_in::launched) + ", \"synchronisations\": " + stand_in::written(stand_in::waited) + "}";
  return out.c_str();
}
}
