package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDoctor(t *testing.T) {
	parent := t.TempDir()
	report, err := Doctor(t.Context(), Config{Data: filepath.Join(parent, "data")})
	must(t, err)
	t.Logf("%+v", report)
	if report.Folder != parent || report.Free == 0 || report.FileLimit == 0 || report.FileSystem == "" || len(report.Groups) != 3 {
		t.Errorf("%+v", report)
	}
	for _, group := range report.Groups {
		if group.P50 <= 0 || group.P99 < group.P50 {
			t.Errorf("%+v", group)
		}
	}
	left, err := os.ReadDir(parent)
	must(t, err)
	if len(left) != 0 {
		t.Error("the doctor left", left)
	}
}

func TestDoctorAdvises(t *testing.T) {
	bad := Report{FileSystem: "tmpfs", Free: 1, MinFree: 2, FileLimit: 10, Groups: []SyncTime{{1, time.Microsecond, time.Second}}}
	bad.conclude(Config{Durability: Fsync})
	for _, want := range []string{"faster disk", "next to no time", "HR5002", "LimitNOFILE", "in memory"} {
		if !strings.Contains(strings.Join(bad.Warnings, "\n"), want) {
			t.Errorf("no warning of %q in %q", want, bad.Warnings)
		}
	}
	good := Report{FileSystem: "ext4", Free: 1 << 30, MinFree: 1 << 20, FileLimit: 1 << 16, Groups: []SyncTime{{1, time.Millisecond, 5 * time.Millisecond}}}
	good.conclude(Config{Durability: Fsync})
	if len(good.Warnings) != 0 || !strings.Contains(good.Expect, "about 1ms alone, up to 2ms") {
		t.Errorf("%+v", good)
	}
}
