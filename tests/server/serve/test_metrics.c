/* The page's arithmetic: buckets, ratios, escaped labels, unknown codes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct metrics m;
static struct metrics_now now;
static struct buf page;

static int fresh(void **state)
{
    (void)state;
    m = (struct metrics){0};
    now = (struct metrics_now){.served_name = "a\"b\\c\nd"};
    buf_reset(&page);
    return 0;
}

static void write_page(void)
{
    buf_reset(&page);
    metrics_page(&m, &now, &page);
    assert_false(page.failed);
}

static void has(const char *line)
{
    if (!strstr(page.data, line))
        fail_msg("the page lacks: %s", line);
}

static void buckets_are_cumulative(void **state)
{
    (void)state;
    static const double seconds[] = {0.0005, 0.001, 0.0011, 3, 640, 641, 1e9};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        metrics_time(&m, TIMING_QUEUE, seconds[i]);
    write_page();
    has("ssmd_queue_seconds_bucket{le=\"0.001\"} 2\n");
    has("ssmd_queue_seconds_bucket{le=\"0.0025\"} 3\n");
    has("ssmd_queue_seconds_bucket{le=\"2.5\"} 3\n");
    has("ssmd_queue_seconds_bucket{le=\"5\"} 4\n");
    has("ssmd_queue_seconds_bucket{le=\"640\"} 5\n");
    has("ssmd_queue_seconds_bucket{le=\"+Inf\"} 7\n");
    has("ssmd_queue_seconds_count 7\n");
}

static void ratio_is_the_larger_one(void **state)
{
    (void)state;
    struct engine_info info = {.n_pages = 100, .n_slots = 10, .page_tokens = 16};
    info.arch = info.weights = info.cpu = info.model_hash = "x";
    now.info = &info;
    now.stats.engine = (struct engine_stats){.pages_used = 50, .slots_used = 2};
    write_page();
    has("ssmd_checkpoints_limit 0\n");
    has("ssmd_checkpoint_interval_tokens 0\n");
    info.most_checkpoints = 12;
    info.checkpoint_interval = 1648;
    write_page();
    has("ssmd_checkpoints_limit 12\n");
    has("ssmd_checkpoint_interval_tokens 1648\n");
    has("ssmd_cache_usage_ratio 0.5\n");
    now.stats.engine.slots_used = 10;
    write_page();
    has("ssmd_cache_usage_ratio 1\n");
    has("ssmd_cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1\n");
}

static void prefixes_are_what_the_engine_counted(void **state)
{
    (void)state;
    now.stats.engine = (struct engine_stats){.checkpoints = 3,
                                             .checkpoint_bytes = 5000,
                                             .checkpoints_created = 7,
                                             .checkpoints_hit = 6,
                                             .checkpoints_evicted = 4,
                                             .tokens_missed = {11, 12, 13, 14}};
    m.states_saved = 3;
    m.states_loaded = 2;
    m.states_rejected = 1;
    write_page();
    has("ssmd_checkpoints_total{op=\"save\"} 3\n");
    has("ssmd_checkpoints_total{op=\"load\"} 2\n");
    has("ssmd_checkpoints_total{op=\"reject\"} 1\n");
    has("ssmd_checkpoint_bytes 5000\n");
    has("ssmd_checkpoints_used 3\n");
    has("ssmd_checkpoints_total{op=\"create\"} 7\n");
    has("ssmd_checkpoints_total{op=\"hit\"} 6\n");
    has("ssmd_checkpoints_total{op=\"evict\"} 4\n");
    has("ssmd_prefix_lost_tokens_total{why=\"no_checkpoint\"} 11\n");
    has("ssmd_prefix_lost_tokens_total{why=\"evicted\"} 12\n");
    has("ssmd_prefix_lost_tokens_total{why=\"salt\"} 13\n");
    has("ssmd_prefix_lost_tokens_total{why=\"retokenised\"} 14\n");
}

static void the_state_directory_has_sums_and_faults(void **state)
{
    (void)state;
    write_page();
    has("ssmd_state_dir_bytes{kind=\"client\"} 0\n");
    has("ssmd_state_dir_errors_total{op=\"list\"} 0\n");
    now.states = (struct ledger_sums){{1000, 2}, {3000, 4}};
    now.states_limit = 5000;
    metrics_disk(&m, DISK_READ, -ERR_NOT_FOUND); /* the client's, or nobody's */
    metrics_disk(&m, DISK_READ, 0);
    metrics_disk(&m, DISK_WRITE, -ERR_QUOTA);
    metrics_disk(&m, DISK_WRITE, -ERR_IO);
    metrics_disk(&m, DISK_WRITE, -ERR_STORAGE);
    metrics_disk(&m, DISK_DELETE, -ERR_IO);
    write_page();
    has("ssmd_state_dir_bytes{kind=\"client\"} 1000\n");
    has("ssmd_state_dir_bytes{kind=\"persisted\"} 3000\n");
    has("ssmd_state_dir_objects{kind=\"client\"} 2\n");
    has("ssmd_state_dir_objects{kind=\"persisted\"} 4\n");
    has("ssmd_state_dir_limit_bytes{kind=\"client\"} 5000\n");
    has("ssmd_state_dir_limit_bytes{kind=\"persisted\"} 5000\n");
    has("ssmd_state_dir_errors_total{op=\"read\"} 0\n");
    has("ssmd_state_dir_errors_total{op=\"write\"} 2\n");
    has("ssmd_state_dir_errors_total{op=\"delete\"} 1\n");
    has("ssmd_state_dir_errors_total{op=\"list\"} 0\n");
}

static void labels_are_escaped_and_bounded(void **state)
{
    (void)state;
    metrics_http(&m, 100000, 200);
    metrics_http(&m, 0, 418);
    write_page();
    has("ssmd_model_info{model=\"a\\\"b\\\\c\\nd\",");
    has("code=\"500\"} 1\n");
    assert_null(strstr(page.data, "418"));
}

static void alias_is_off_by_default(void **state)
{
    (void)state;
    write_page();
    assert_null(strstr(page.data, "vllm:"));
    now.vllm_names = true;
    now.running = 3;
    write_page();
    has("vllm:num_requests_running 3");
}

static int release(void **state)
{
    (void)state;
    buf_free(&page);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(buckets_are_cumulative, fresh),
        cmocka_unit_test_setup(ratio_is_the_larger_one, fresh),
        cmocka_unit_test_setup(prefixes_are_what_the_engine_counted, fresh),
        cmocka_unit_test_setup(the_state_directory_has_sums_and_faults, fresh),
        cmocka_unit_test_setup(labels_are_escaped_and_bounded, fresh),
        cmocka_unit_test_setup(alias_is_off_by_default, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
