#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace odr::metadata {

// Hashes any text, so that a map with std::string keys is asked with a std::string_view.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

// A hash map whose copies share everything that is equal: a hash array mapped trie of 32-way nodes.
//
// Copying costs one reference count. A lookup walks log32(n) nodes (100,000 keys: 3 to 4). set() and erase() on a
// copy clone the nodes on one path (about 1 KiB); on nodes that no other map shares they work in place, so filling a
// fresh map costs no clones.
//
// Needs:    K and V cheap to copy (V is usually a shared_ptr to const). Order of iteration: none.
// Threads:  as a std::unordered_map, one map at a time; copies of one map may be used and changed by different threads.
// Kafka:    server.immutable.ImmutableMap.
template <class K, class V, class Hash = std::hash<K>>
class PersistentMap {
public:
    PersistentMap() = default;
    PersistentMap(const PersistentMap& other) : root_{retain(other.root_)}, size_{other.size_} {}
    PersistentMap(PersistentMap&& other) noexcept
        : root_{std::exchange(other.root_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
    PersistentMap& operator=(PersistentMap other) noexcept {
        std::swap(root_, other.root_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~PersistentMap() { release(root_); }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // Gives: the value, or nullptr. Lives until this map is changed or destroyed, or longer where copies share it.
    template <class Key>
    const V* find(const Key& key) const {
        const std::size_t hash = mix(Hash{}(key));
        const Node* node = root_;
        for (unsigned shift = 0; node != nullptr; shift += kBits) {
            if (shift >= kHashBits) return find_in(*node, key);
            const std::uint32_t bit = bit_of(hash, shift);
            if (node->entry_bits & bit) {
                const auto& entry = node->entries[index_of(node->entry_bits, bit)];
                return entry.first == key ? &entry.second : nullptr;
            }
            if (!(node->child_bits & bit)) return nullptr;
            node = node->children[index_of(node->child_bits, bit)];
        }
        return nullptr;
    }
    template <class Key>
    bool contains(const Key& key) const {
        return find(key) != nullptr;
    }

    // Gives: whether the key is new.
    bool set(K key, V value) {
        if (root_ == nullptr) root_ = new Node;
        const std::size_t hash = mix(Hash{}(key));
        const bool added = set_in(root_, hash, 0, std::move(key), std::move(value));
        size_ += added ? 1 : 0;
        return added;
    }
    // Gives: whether the key was there.
    template <class Key>
    bool erase(const Key& key) {
        if (!contains(key)) return false;  // a miss clones nothing
        erase_in(root_, mix(Hash{}(key)), 0, key);
        if (--size_ == 0) {
            release(root_);
            root_ = nullptr;
        }
        return true;
    }

    // visit(key, value) for each; the map must not change meanwhile.
    template <class Visit>
    void for_each(Visit&& visit) const {
        if (root_ != nullptr) walk(*root_, visit);
    }

    // Whether both share one state: true means equal, false means nothing.
    bool is_same(const PersistentMap& other) const { return root_ == other.root_; }

private:
    static constexpr unsigned kBits = 5;
    static constexpr unsigned kHashBits = 60;  // 12 levels; below them a node is a plain list of colliding keys

    struct Node {
        std::atomic<std::uint32_t> references{1};
        std::uint32_t entry_bits = 0;
        std::uint32_t child_bits = 0;
        std::vector<std::pair<K, V>> entries;
        std::vector<Node*> children;
    };

    static Node* retain(Node* node) {
        if (node != nullptr) node->references.fetch_add(1, std::memory_order_relaxed);
        return node;
    }
    static void release(Node* node) {
        if (node == nullptr || node->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        for (Node* child : node->children) release(child);
        delete node;
    }
    // Makes `node` ours alone. The acquire pairs with the release of whoever read it last.
    static void own(Node*& node) {
        if (node->references.load(std::memory_order_acquire) == 1) return;
        Node* copy = new Node;
        copy->entry_bits = node->entry_bits;
        copy->child_bits = node->child_bits;
        copy->entries = node->entries;
        copy->children = node->children;
        for (Node* child : copy->children) retain(child);
        release(node);
        node = copy;
    }

    static std::size_t mix(std::size_t hash) {
        hash ^= hash >> 32;
        hash *= 0x9e3779b97f4a7c15ULL;
        return hash ^ (hash >> 29);
    }
    static std::uint32_t bit_of(std::size_t hash, unsigned shift) { return 1U << ((hash >> shift) & 31U); }
    static std::size_t index_of(std::uint32_t bits, std::uint32_t bit) {
        return static_cast<std::size_t>(std::popcount(bits & (bit - 1)));
    }
    template <class Key>
    static const V* find_in(const Node& node, const Key& key) {
        for (const auto& entry : node.entries)
            if (entry.first == key) return &entry.second;
        return nullptr;
    }

    static bool set_in(Node*& node, std::size_t hash, unsigned shift, K&& key, V&& value) {
        own(node);
        if (shift >= kHashBits) return set_colliding(*node, std::move(key), std::move(value));
        const std::uint32_t bit = bit_of(hash, shift);
        if (node->child_bits & bit) {
            Node*& child = node->children[index_of(node->child_bits, bit)];
            return set_in(child, hash, shift + kBits, std::move(key), std::move(value));
        }
        const std::size_t at = index_of(node->entry_bits, bit);
        const auto position = node->entries.begin() + static_cast<std::ptrdiff_t>(at);
        if (!(node->entry_bits & bit)) {
            node->entry_bits |= bit;
            node->entries.emplace(position, std::move(key), std::move(value));
            return true;
        }
        if (position->first == key) {
            position->second = std::move(value);
            return false;
        }
        push_down(*node, bit, at, shift);
        Node*& child = node->children[index_of(node->child_bits, bit)];
        return set_in(child, hash, shift + kBits, std::move(key), std::move(value));
    }
    // Two keys want one place: the entry there moves into a child of its own.
    static void push_down(Node& node, std::uint32_t bit, std::size_t at, unsigned shift) {
        const auto position = node.entries.begin() + static_cast<std::ptrdiff_t>(at);
        Node* child = new Node;
        const std::size_t hash = mix(Hash{}(position->first));
        if (shift + kBits < kHashBits) child->entry_bits = bit_of(hash, shift + kBits);
        child->entries.push_back(std::move(*position));
        node.entries.erase(position);
        node.entry_bits &= ~bit;
        node.child_bits |= bit;
        const auto place = static_cast<std::ptrdiff_t>(index_of(node.child_bits, bit));
        node.children.insert(node.children.begin() + place, child);
    }
    static bool set_colliding(Node& node, K&& key, V&& value) {
        for (auto& entry : node.entries) {
            if (!(entry.first == key)) continue;
            entry.second = std::move(value);
            return false;
        }
        node.entries.emplace_back(std::move(key), std::move(value));
        return true;
    }

    template <class Key>
    static void erase_in(Node*& node, std::size_t hash, unsigned shift, const Key& key) {
        own(node);
        if (shift >= kHashBits) {
            std::erase_if(node->entries, [&](const auto& entry) { return entry.first == key; });
            return;
        }
        const std::uint32_t bit = bit_of(hash, shift);
        if (node->entry_bits & bit) {
            node->entries.erase(node->entries.begin() + static_cast<std::ptrdiff_t>(index_of(node->entry_bits, bit)));
            node->entry_bits &= ~bit;
            return;
        }
        const auto place = static_cast<std::ptrdiff_t>(index_of(node->child_bits, bit));
        Node*& child = node->children[static_cast<std::size_t>(place)];
        erase_in(child, hash, shift + kBits, key);
        if (!child->entries.empty() || !child->children.empty()) return;
        release(child);
        node->children.erase(node->children.begin() + place);
        node->child_bits &= ~bit;
    }

    template <class Visit>
    static void walk(const Node& node, Visit& visit) {
        for (const auto& [key, value] : node.entries) visit(key, value);
        for (const Node* child : node.children) walk(*child, visit);
    }

    Node* root_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace odr::metadata
