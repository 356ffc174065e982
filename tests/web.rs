//! The phone web app in a real browser, against the real server, on both engines.
//!
//! Pictures of its screens at phone size are left in `target/screens`.

#[path = "web/admin.rs"]
mod admin;
#[path = "web/approving.rs"]
mod approving;
#[path = "web/browser.rs"]
mod browser;
#[path = "web/enrolling.rs"]
mod enrolling;
#[path = "web/firefox/mod.rs"]
mod firefox;
#[path = "web/house.rs"]
mod house;
#[path = "web/modules.rs"]
mod modules;
#[path = "web/paging.rs"]
mod paging;
#[path = "web/person.rs"]
mod person;
#[path = "web/strangers.rs"]
mod strangers;
mod support;
mod world;

/// Makes `sqlite::name` and `postgres::name` of each `async fn name(house: &House) -> Vec<Holder>` of these modules.
macro_rules! stories {
    ($($module:ident { $($name:ident)* })*) => {
        support::engines! { $($($name)*)* }
        $($(
            async fn $name(db: support::TestDb) {
                let house = house::House::start(db).await;
                let holders = $module::$name(&house).await;
                house.end(holders).await;
            }
        )*)*
    };
}

stories! {
    enrolling {
        a_phone_goes_on_duty
        an_iphone_is_installed_first
        a_second_device_is_confirmed_by_the_first_and_revoked_while_it_is_open
        what_the_app_shows_of_a_person
    }
    approving {
        a_deployment_is_approved_with_two_taps
        a_deployment_is_denied_with_a_reason
        a_request_that_was_not_mine_stops_its_bot
        a_code_is_typed
        two_approve_what_takes_two
        nobody_approves_whom_the_phone_does_not_recognise
        what_is_over_elsewhere_is_over_at_once
        what_happened_before_anybody_listened_is_on_the_screen
        what_nobody_answers_expires_on_the_screen
        nothing_is_sent_without_a_network
    }
    paging {
        a_page_is_acknowledged_with_one_more_tap
        a_page_is_acknowledged_on_its_notification
        a_page_that_somebody_else_takes_says_so
        a_page_is_handed_on_put_off_noted_and_resolved
        a_page_is_merged_into_another
        a_storm_is_acknowledged_with_one_tap
    }
    person {
        a_device_is_renamed_and_rules_are_changed
        the_pager_is_taken_and_calendars_are_made
        a_chat_identity_is_shown_before_it_is_linked
        requests_alike_say_what_is_different
        somebody_goes_away_and_comes_back
    }
    admin {
        a_person_is_added_and_given_an_enrolment_link
        a_refusal_stands_at_its_field
        a_bot_is_made_and_its_token_is_seen_once
        a_policy_is_made_and_tried
        a_service_is_made_and_its_key_reports
        a_schedule_is_made_and_its_week_is_read
        an_escalation_policy_is_made_of_steps
        the_journal_is_searched
        a_lost_phone_is_revoked
        an_administrator_is_made_and_ends_as_one
        what_was_reported_is_lifted
        maintenance_and_webhooks_are_set_up
        whoever_is_no_administrator_sees_nothing_of_it
        every_screen_fits
    }
    strangers {
        what_strangers_ask_is_shown_and_not_obeyed
        what_strangers_report_is_shown_and_not_obeyed
    }
}
