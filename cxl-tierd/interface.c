/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* The definition that "varlinkctl introspect" prints; docs/man/cxl-tierd.8 says how it is used. */

#define COMMENT(text)		 SD_VARLINK_FIELD_COMMENT(text)
#define FIELD(name, type, flags) SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_##type, flags)
#define IN(name, type, flags)	 SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_##type, flags)
#define OUT(name, type, flags)	 SD_VARLINK_DEFINE_OUTPUT(name, SD_VARLINK_##type, flags)
#define NULLABLE		 SD_VARLINK_NULLABLE
#define ARRAY			 SD_VARLINK_ARRAY

static SD_VARLINK_DEFINE_STRUCT_TYPE(
	PortalHost, COMMENT("The host's slot"), FIELD(slot, INT, 0),
	COMMENT("Name that 'portal format' gave the slot"), FIELD(name, STRING, 0),
	COMMENT("First of the extents that only this host grants"), FIELD(firstExtent, INT, 0),
	COMMENT("Number of these extents"), FIELD(extents, INT, 0),
	COMMENT("Its boots by the portal's count; 0: none so far"), FIELD(incarnation, INT, 0),
	COMMENT("How often it has beaten in this boot, and when last "
		"by its own CLOCK_REALTIME"),
	FIELD(beats, INT, 0), FIELD(lastBeatUsec, INT, 0),
	COMMENT("This daemon has seen no new beat for five intervals"), FIELD(overdue, BOOL, 0),
	COMMENT("This boot of it is fenced; is being fenced"), FIELD(fenced, BOOL, 0),
	FIELD(fencing, BOOL, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
	Portal, COMMENT("The dax device of the control area, or a plain file"),
	FIELD(path, STRING, 0), COMMENT("The CXL region; absent for a plain file"),
	FIELD(region, STRING, NULLABLE),
	COMMENT("usable; foreign: this host has no slot; unformatted, damaged, incompatible, "
		"truncated, "
		"unreadable: 'problem' says why"),
	FIELD(state, STRING, 0), COMMENT("What is wrong with it"), FIELD(problem, STRING, NULLABLE),
	COMMENT("The name that this host looks for among the hosts"), FIELD(localHost, STRING, 0),
	COMMENT("This host's slot"), FIELD(slot, INT, NULLABLE),
	COMMENT("Which boot of this host it is, by the portal's count; for the stamps of its "
		"records. 0: it takes no part, 'problem' says why"),
	FIELD(incarnation, INT, NULLABLE), COMMENT("The portal's name"),
	FIELD(name, STRING, NULLABLE), COMMENT("New at each format"), FIELD(uuid, STRING, NULLABLE),
	COMMENT("Size of the region or file"), FIELD(totalBytes, INT, NULLABLE),
	COMMENT("Size of the control area"), FIELD(controlBytes, INT, NULLABLE),
	COMMENT("Size of an extent"), FIELD(extentBytes, INT, NULLABLE),
	COMMENT("Number of extents, of all hosts"), FIELD(extents, INT, NULLABLE),
	COMMENT("Extents of this host: free, held by flights, to be zeroed"),
	FIELD(freeExtents, INT, NULLABLE), FIELD(claimedExtents, INT, NULLABLE),
	FIELD(scrubExtents, INT, NULLABLE),
	COMMENT("Extents of this host that are granted to nobody: retired, or with a damaged "
		"record"),
	FIELD(retiredExtents, INT, NULLABLE), COMMENT("The hosts' caches need no flushing"),
	FIELD(hardwareCoherent, BOOL, NULLABLE),
	COMMENT("Bit 0: the first superblock is damaged; bit 1: its copy is"),
	FIELD(damagedCopies, INT, NULLABLE), COMMENT("Hosts that share it"),
	SD_VARLINK_DEFINE_FIELD_BY_TYPE(hosts, PortalHost, ARRAY | NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
	Flight, COMMENT("The portal's name, and where it is on this host"),
	FIELD(portal, STRING, 0), FIELD(portalPath, STRING, 0), FIELD(region, STRING, 0),
	COMMENT("The source host: name, is it this one, slot; and its flight slot"),
	FIELD(source, STRING, 0), FIELD(ours, BOOL, 0), FIELD(sourceHost, INT, 0),
	FIELD(sourceSlot, INT, 0),
	COMMENT("held: a process on this host carries it out; orphaned: that process has gone; "
		"none"),
	FIELD(session, STRING, 0), COMMENT("It is over: nothing of it is needed any more"),
	FIELD(ended, BOOL, 0), COMMENT("Who may do what next"), FIELD(advice, STRING, 0),
	COMMENT("UUID of the flight. This and the rest are absent if the record is damaged"),
	FIELD(flight, STRING, NULLABLE), COMMENT("Name of the VM"), FIELD(vm, STRING, NULLABLE),
	COMMENT("The destination host"), FIELD(destination, STRING, NULLABLE),
	COMMENT("How many flights this slot has seen"), FIELD(generation, INT, NULLABLE),
	COMMENT("Last step that the source has stored"), FIELD(sourceState, STRING, NULLABLE),
	COMMENT("Last step that the destination, or whoever took its place, has stored"),
	FIELD(destinationState, STRING, NULLABLE),
	COMMENT("By the records: who has the VM, or alone may take it; empty: nobody"),
	FIELD(holder, STRING, NULLABLE), COMMENT("It is whole in the portal and runs nowhere"),
	FIELD(inPortal, BOOL, NULLABLE), COMMENT("It ended with the host that ran it"),
	FIELD(lost, BOOL, NULLABLE), COMMENT("The records cannot be so: nothing may be resumed"),
	FIELD(conflict, BOOL, NULLABLE), COMMENT("Size of the VM's RAM"),
	FIELD(ramBytes, INT, NULLABLE),
	COMMENT("Extents that it asks for, and that it has, from OFFERED on"),
	FIELD(wantedExtents, INT, NULLABLE), FIELD(extents, INT, NULLABLE),
	COMMENT("CLOCK_REALTIME of the source at the offer"), FIELD(offeredUsec, INT, NULLABLE),
	COMMENT("Why it was aborted or refused"), FIELD(reason, STRING, NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
	Offer, COMMENT("The portal's name, path and CXL region on this host"),
	FIELD(portal, STRING, 0), FIELD(portalPath, STRING, 0), FIELD(region, STRING, 0),
	COMMENT("The source host: slot, name, and the flight's slot"), FIELD(source, INT, 0),
	FIELD(sourceName, STRING, 0), FIELD(sourceSlot, INT, 0), COMMENT("Name of the VM"),
	FIELD(vm, STRING, 0), COMMENT("UUID of the flight"), FIELD(flight, STRING, 0),
	COMMENT("How many flights this slot has seen"), FIELD(generation, INT, 0),
	COMMENT("Size of the VM's RAM"), FIELD(ramBytes, INT, 0),
	COMMENT("What the destination's QEMU must match"), FIELD(machineType, STRING, 0),
	FIELD(qemuVersion, STRING, 0));

static SD_VARLINK_DEFINE_METHOD(
	GetInfo, COMMENT("Version of cxl-tierd"), OUT(version, STRING, 0), COMMENT("Process id"),
	OUT(pid, INT, 0), COMMENT("The host's name"), OUT(hostname, STRING, 0),
	COMMENT("It decides and logs, and changes nothing"), OUT(dryRun, BOOL, 0),
	COMMENT("It hears of memory errors: the kernel's events of them are "
		"on, and are read"),
	OUT(hearsErrors, BOOL, NULLABLE),
	COMMENT("What fetches hot memory to DRAM: no (not asked for), none, damon, kernel; and why "
		"not the better one, or empty"),
	OUT(tiering, STRING, NULLABLE), OUT(tieringReason, STRING, NULLABLE),
	COMMENT("The single configuration file, if --config gave one"),
	OUT(configFile, STRING, NULLABLE));

static SD_VARLINK_DEFINE_METHOD(Ping);

static SD_VARLINK_DEFINE_METHOD(List, COMMENT("Same as 'tierctl list --json'"),
				OUT(topology, OBJECT, 0));

static SD_VARLINK_DEFINE_METHOD(
	Plan,
	COMMENT("Names of CXL regions, planned together; where nothing else decides, the earlier "
		"one becomes Movable"),
	IN(regions, STRING, ARRAY), COMMENT("auto (default), movable or kernel"),
	IN(zone, STRING, NULLABLE),
	COMMENT("MOVABLE:KERNEL in percent up to 10000; default: the configuration's"),
	IN(ratio, INT, NULLABLE), COMMENT("Decisions and steps"), OUT(plan, OBJECT, 0));

static SD_VARLINK_DEFINE_METHOD(
	Online,
	COMMENT("Names of CXL regions, planned together; where nothing else decides, the earlier "
		"one becomes Movable"),
	IN(regions, STRING, ARRAY), COMMENT("auto (default), movable or kernel"),
	IN(zone, STRING, NULLABLE),
	COMMENT("MOVABLE:KERNEL in percent up to 10000; default: the configuration's"),
	IN(ratio, INT, NULLABLE), COMMENT("Change nothing"), IN(dryRun, BOOL, NULLABLE),
	COMMENT("What was carried out, or would have been"), OUT(plan, OBJECT, 0));

static SD_VARLINK_DEFINE_METHOD(
	Offline, COMMENT("Name of a CXL region"), IN(region, STRING, 0),
	COMMENT("Also take its dax devices from kmem"), IN(toDevdax, BOOL, NULLABLE),
	COMMENT("If a memory block stays, try the others, and leave offline what went"),
	IN(keepPartial, BOOL, NULLABLE),
	COMMENT("For all of it but putting back, up to 604800. Default: 60, and one for each 256 "
		"MiB; "
		"and no longer than 30 at a block from which nothing goes"),
	IN(deadlineSec, INT, NULLABLE), COMMENT("Change nothing"), IN(dryRun, BOOL, NULLABLE),
	COMMENT("With 'more', while it goes on: evacuating or putting-back"),
	OUT(phase, STRING, NULLABLE), COMMENT("What of the region's memory is evacuated"),
	OUT(doneBytes, INT, NULLABLE), OUT(totalBytes, INT, NULLABLE),
	COMMENT("The memory block in hand"), OUT(block, INT, NULLABLE),
	COMMENT("In the end: what was carried out, or would have been"),
	OUT(plan, OBJECT, NULLABLE),
	COMMENT("What came of it, as 'tierctl offline --json' has it; absent if there was nothing "
		"to do"),
	OUT(report, OBJECT, NULLABLE));

static SD_VARLINK_DEFINE_METHOD(Portals, COMMENT("Portals that this host sees, good and bad"),
				SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(portals, Portal, ARRAY));

static SD_VARLINK_DEFINE_METHOD(Flights, COMMENT("Flights of every host of these portals"),
				SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(flights, Flight, ARRAY));

static SD_VARLINK_DEFINE_METHOD(Offers,
				COMMENT("Flights to this host that nobody here has answered"),
				SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(offers, Offer, ARRAY));

static SD_VARLINK_DEFINE_METHOD(Rescan);
static SD_VARLINK_DEFINE_METHOD(Reload);
static SD_VARLINK_DEFINE_METHOD(
	ApplyWeights, COMMENT("nothing, write, restore or refresh: the last thing that was done"),
	OUT(action, STRING, 0), COMMENT("Why"), OUT(reason, STRING, 0),
	COMMENT("Weights are by what tierctl calibrate has measured"), OUT(calibrated, BOOL, 0));

#define GRANT                                                                                      \
	COMMENT("Path of the control area, name of the portal, its CXL region"),                   \
		OUT(portalPath, STRING, 0), OUT(portal, STRING, 0), OUT(region, STRING, 0),        \
		COMMENT("Own host slot, the other host's, and the own flight slot"),               \
		OUT(host, INT, 0), OUT(peer, INT, 0), OUT(slot, INT, 0),                           \
		COMMENT("For the stamps of the own records"), OUT(incarnation, INT, 0),            \
		OUT(generation, INT, 0), COMMENT("UUID of the flight"), OUT(flight, STRING, 0)

static SD_VARLINK_DEFINE_METHOD(
	BeginFlight, COMMENT("Name of the VM"), IN(vm, STRING, 0),
	COMMENT("Name of the destination's host slot"), IN(destination, STRING, 0),
	COMMENT("Name, region or path of a portal; default: the first that both hosts share"),
	IN(portal, STRING, NULLABLE), COMMENT("Size of the VM's RAM"), IN(ramBytes, INT, 0), GRANT);

static SD_VARLINK_DEFINE_METHOD(AcceptFlight, COMMENT("Name, region or path of the portal"),
				IN(portal, STRING, 0),
				COMMENT("Host slot of the source, and its flight slot"),
				IN(source, INT, 0), IN(sourceSlot, INT, 0),
				COMMENT("UUID of the flight"), IN(flight, STRING, 0), GRANT);

static SD_VARLINK_DEFINE_METHOD(EndFlight, COMMENT("UUID of the flight"), IN(flight, STRING, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
	Retirement, COMMENT("SERIAL:DPA, for Unretire"), FIELD(id, STRING, 0),
	COMMENT("The memdev's serial number, device address and size"), FIELD(serial, INT, 0),
	FIELD(dpa, INT, 0), FIELD(bytes, INT, 0), COMMENT("CLOCK_REALTIME when, and why"),
	FIELD(usec, INT, NULLABLE), FIELD(reason, STRING, NULLABLE),
	COMMENT("The region that has it on this host, where in it, and the memory block"),
	FIELD(region, STRING, NULLABLE), FIELD(offset, INT, NULLABLE), FIELD(block, INT, NULLABLE),
	COMMENT("It could not be taken offline"), FIELD(online, BOOL, NULLABLE));

static SD_VARLINK_DEFINE_METHOD_FULL(
	Events, SD_VARLINK_SUPPORTS_MORE, COMMENT("Only those from this CLOCK_REALTIME on"),
	IN(sinceUsec, INT, NULLABLE),
	COMMENT("What happened to memory, oldest first: docs/ras.md has their members"),
	OUT(events, OBJECT, ARRAY));

static SD_VARLINK_DEFINE_METHOD(Retired, COMMENT("Memory that is not to be used again"),
				SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(retired, Retirement, ARRAY));

static SD_VARLINK_DEFINE_METHOD(Retire, COMMENT("Name of a CXL region"), IN(region, STRING, 0),
				COMMENT("The memory block that has this byte of it"),
				IN(offset, INT, 0), COMMENT("Change nothing"),
				IN(dryRun, BOOL, NULLABLE),
				COMMENT("What was retired, or would have been"),
				SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(entry, Retirement, 0));

static SD_VARLINK_DEFINE_METHOD(Unretire, COMMENT("As Retired says"), IN(id, STRING, 0));

static SD_VARLINK_DEFINE_METHOD(
	Metrics,
	COMMENT("openmetrics (default); textfile: Prometheus' text format, as node_exporter takes "
		"it; json"),
	IN(format, STRING, NULLABLE), COMMENT("Only families whose names begin so"),
	IN(only, STRING, NULLABLE), COMMENT("The metrics; absent for json"),
	OUT(text, STRING, NULLABLE), COMMENT("For json: as 'tierctl metrics --json'"),
	OUT(families, OBJECT, ARRAY | NULLABLE));

static SD_VARLINK_DEFINE_ERROR(Refused, COMMENT("What it happened to"), FIELD(object, STRING, 0),
			       COMMENT("What was tried and what is in the way"),
			       FIELD(text, STRING, 0), COMMENT("The next step, or empty"),
			       FIELD(next, STRING, 0),
			       COMMENT("Of Offline, once it had begun: what came of it"),
			       FIELD(report, OBJECT, NULLABLE));

static SD_VARLINK_DEFINE_ERROR(PermissionDenied, COMMENT("The method"), FIELD(object, STRING, 0),
			       COMMENT("Whom it is for"), FIELD(text, STRING, 0),
			       COMMENT("The next step"), FIELD(next, STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
	io_cxltier_Manager, "io.cxltier.Manager",
	SD_VARLINK_INTERFACE_COMMENT(
		"CXL memory and portals of this host. Whatever changes something "
		"needs root."),
	SD_VARLINK_SYMBOL_COMMENT("A host of a portal"), &vl_type_PortalHost,
	SD_VARLINK_SYMBOL_COMMENT("A portal"), &vl_type_Portal,
	SD_VARLINK_SYMBOL_COMMENT("A flight: one VM's passage"), &vl_type_Flight,
	SD_VARLINK_SYMBOL_COMMENT("A flight that waits for this host's answer"), &vl_type_Offer,
	SD_VARLINK_SYMBOL_COMMENT("Does it answer?"), &vl_method_Ping,
	SD_VARLINK_SYMBOL_COMMENT("What this daemon is"), &vl_method_GetInfo,
	SD_VARLINK_SYMBOL_COMMENT("The topology, read now"), &vl_method_List,
	SD_VARLINK_SYMBOL_COMMENT("Which zone would regions go to, and why?"), &vl_method_Plan,
	SD_VARLINK_SYMBOL_COMMENT("Online whole regions. Needs root unless dryRun"),
	&vl_method_Online,
	SD_VARLINK_SYMBOL_COMMENT(
		"Evacuate a region and take it offline, within a deadline. One at a time; if the "
		"connection ends, what was taken is put back. Needs root unless dryRun"),
	&vl_method_Offline, SD_VARLINK_SYMBOL_COMMENT("The portals that this host sees"),
	&vl_method_Portals,
	SD_VARLINK_SYMBOL_COMMENT("The flights in them, and who may do what next"),
	&vl_method_Flights, SD_VARLINK_SYMBOL_COMMENT("Flights that wait for this host's answer"),
	&vl_method_Offers,
	SD_VARLINK_SYMBOL_COMMENT(
		"Look at every region again, also at those that failed. Needs root"),
	&vl_method_Rescan,
	SD_VARLINK_SYMBOL_COMMENT(
		"Read the configuration again. If it is invalid, Refused names file "
		"and line and the old one stays in force. Needs root"),
	&vl_method_Reload,
	SD_VARLINK_SYMBOL_COMMENT(
		"Set the weights of weighted interleave anew, as after a calibration. Needs root"),
	&vl_method_ApplyWeights,
	SD_VARLINK_SYMBOL_COMMENT(
		"Reserve a slot for sending a VM and ask the hosts of the portal "
		"for extents; those of this host are granted at once. The flight "
		"belongs to this connection: when it ends, the request is given up "
		"if nothing was offered. Needs root"),
	&vl_method_BeginFlight,
	SD_VARLINK_SYMBOL_COMMENT(
		"Reserve a slot for answering an offer, for this connection. Needs "
		"root"),
	&vl_method_AcceptFlight,
	SD_VARLINK_SYMBOL_COMMENT(
		"End this host's part in a flight, once its offer is ABORTED, CLOSED or "
		"was never more than REQUESTED. Replies when its extents here are zeroed. By the "
		"connection that began it, or by anybody (root) when that is gone"),
	&vl_method_EndFlight,
	SD_VARLINK_SYMBOL_COMMENT("Memory that errors or a person have retired"),
	&vl_type_Retirement,
	SD_VARLINK_SYMBOL_COMMENT(
		"Errors of memory, what was done about them, and devices that came or went. With "
		"'more' each further one is told as it happens"),
	&vl_method_Events, SD_VARLINK_SYMBOL_COMMENT("What is retired"), &vl_method_Retired,
	SD_VARLINK_SYMBOL_COMMENT("Retire a memory block or an extent. Needs root unless dryRun"),
	&vl_method_Retire, SD_VARLINK_SYMBOL_COMMENT("Take an entry off the list. Needs root"),
	&vl_method_Unretire,
	SD_VARLINK_SYMBOL_COMMENT("Metrics of nodes, tiers, flows, portals, flights and events"),
	&vl_method_Metrics, SD_VARLINK_SYMBOL_COMMENT("A precondition does not hold, or it failed"),
	&vl_error_Refused, SD_VARLINK_SYMBOL_COMMENT("Only root may call this"),
	&vl_error_PermissionDenied);
