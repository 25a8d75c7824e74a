/*
 * A mixed integer workload in the manner of embedded benchmarks: a linked list that is sorted, searched and
 * reversed; small matrices; a state machine that classifies numbers in a text; a CRC over all results, so
 * that no part can be left out. Our own writing; its results compare with nothing but themselves.
 */
#ifndef MIXED_H
#define MIXED_H

#include <stddef.h>
#include <stdint.h>

/* CRC of one iteration, worked out by the same source on another architecture. */
#define MIXED_SUM 0xe203015au

enum { ITEMS = 128, SIDE = 12 };

struct item {
    struct item *next;
    int16_t key;
    uint16_t tag;
};

static uint32_t crc32_word(uint32_t crc, uint32_t word)
{
    crc ^= word;
    for (int bit = 0; bit < 32; bit++)
        crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
    return crc;
}

/* Merge sort of a list by key (by_tag = 0) or tag. */
static struct item *sort_list(struct item *list, int by_tag)
{
    if (!list || !list->next)
        return list;
    struct item *slow = list, *fast = list->next;
    while (fast && fast->next) {
        slow = slow->next;
        fast = fast->next->next;
    }
    struct item *right = slow->next;
    slow->next = NULL;
    struct item *left = sort_list(list, by_tag);
    right = sort_list(right, by_tag);
    struct item head, *tail = &head;
    while (left && right) {
        int left_first = by_tag ? left->tag <= right->tag : left->key <= right->key;
        struct item **from = left_first ? &left : &right;
        tail->next = *from;
        tail = *from;
        *from = tail->next;
    }
    tail->next = left ? left : right;
    return head.next;
}

static uint32_t list_work(uint32_t seed)
{
    static struct item items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        seed = seed * 1664525u + 1013904223u;
        items[i].key = (int16_t)(seed >> 16);
        items[i].tag = (uint16_t)i;
        items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
    }
    uint32_t crc = seed;
    struct item *list = sort_list(items, 0);
    for (int wanted = 0; wanted < ITEMS; wanted += 9)
        for (struct item *p = list; p; p = p->next)
            if (p->tag == wanted) {
                crc = crc32_word(crc, (uint16_t)p->key);
                break;
            }
    struct item *reversed = NULL;
    while (list) {
        struct item *next = list->next;
        list->next = reversed;
        reversed = list;
        list = next;
    }
    list = sort_list(reversed, 1);
    for (struct item *p = list; p; p = p->next)
        crc = crc32_word(crc, p->tag ^ (uint32_t)(uint16_t)p->key << 16);
    return crc;
}

static uint32_t matrix_work(uint32_t seed)
{
    static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
    static int32_t c[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            seed = seed * 1664525u + 1013904223u;
            a[i][j] = (int16_t)(seed >> 16);
            b[j][i] = (int16_t)(seed >> 18);
        }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            /* Unsigned, because the sum may wrap. */
            uint32_t sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += (uint32_t)(a[i][k] * b[k][j]);
            c[i][j] = (int32_t)sum;
        }
    uint32_t crc = seed;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            crc = crc32_word(crc, (uint32_t)(c[i][j] >> 5) + (uint32_t)a[j][i]);
    return crc;
}

/* Counts what a text holds: integers, fractions, exponents, hexadecimal numbers and nonsense. */
static uint32_t text_work(uint32_t seed)
{
    enum state { START, SIGN, INTEGER, FRACTION, EXPONENT, POWER, ZERO, HEX, NONSENSE, STATES };
    static const char alphabet[] = "0123456789+-.eExabcdef,,,, zq";
    uint32_t counts[STATES] = { 0 };
    enum state state = START;
    for (int i = 0; i < 700; i++) {
        seed = seed * 1664525u + 1013904223u;
        char c = alphabet[(seed >> 20) % (sizeof alphabet - 1)];
        int digit = c >= '0' && c <= '9';
        if (c == ',') {
            counts[state]++;
            state = START;
            continue;
        }
        switch (state) {
        case START:
            state = c == '0' ? ZERO : digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : NONSENSE;
            break;
        case SIGN:
            state = digit ? INTEGER : c == '.' ? FRACTION : NONSENSE;
            break;
        case ZERO:
            state = c == 'x' ? HEX : digit ? INTEGER : c == '.' ? FRACTION : NONSENSE;
            break;
        case INTEGER:
            state = digit ? INTEGER : c == '.' ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : NONSENSE;
            break;
        case FRACTION:
            state = digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : NONSENSE;
            break;
        case EXPONENT:
            state = digit || c == '+' || c == '-' ? POWER : NONSENSE;
            break;
        case POWER:
            state = digit ? POWER : NONSENSE;
            break;
        case HEX:
            state = digit || (c >= 'a' && c <= 'f') ? HEX : NONSENSE;
            break;
        default:
            break;
        }
    }
    uint32_t crc = seed;
    for (int i = 0; i < STATES; i++)
        crc = crc32_word(crc, counts[i]);
    return crc;
}

/* Does the work `count` times and returns a sum of all results. */
static uint32_t mixed_run(unsigned long count)
{
    uint32_t sum = 0;
    for (unsigned long i = 0; i < count; i++) {
        sum = crc32_word(sum, list_work((uint32_t)i + 1));
        sum = crc32_word(sum, matrix_work((uint32_t)i + 2));
        sum = crc32_word(sum, text_work((uint32_t)i + 3));
    }
    return sum;
}

#endif
