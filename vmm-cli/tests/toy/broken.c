/* Plugins that are broken in one way each; the build defines which. */
#include "vmm_plugin.h"

#include <string.h>

#if defined(NO_SYMBOL)
int something_else(void) { return 0; }
#elif defined(NULL_TABLE)
const VmmPlugin *vmm_plugin(void) { return 0; }
#else
static int32_t init(const VmmHost *host, const VmmSink *why) {
    static const char text[] = "the toy needs a licence server";
    (void)host;
    why->put(why->ctx, (VmmBytes){(const uint8_t *)text, strlen(text)});
    return VMM_REFUSED;
}
static const VmmBackend backend = { .size = sizeof backend };
static const VmmBackend *const backends[] = { &backend };
static const VmmPlugin plugin = {
#if defined(SMALL)
    .size = 16,
#else
    .size = sizeof plugin,
#endif
#if defined(OTHER_ABI)
    .abi = VMM_ABI + 998,
#else
    .abi = VMM_ABI,
#endif
    .name = "broken", .version = "0", .licence = "MIT",
#if defined(NO_ENTRIES)
    .backends = backends, .backend_count = 1,
#else
    .init = init,
#endif
};
const VmmPlugin *vmm_plugin(void) { return &plugin; }
/* Unused in some variants. */
const void *keep[] = { backends, (const void *)init };
#endif
